//! How far many jobs are: who is over, who is not, and how long it may take.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::commands::CommandError;
use crate::commands::jobs::JOBS;
use crate::remote::{JobPage, Remote, Waiting, query};
use crate::screen::{Console, StatusLine, bar, brief};

/// How long foreman holds an answer back while the oldest of the jobs is not over.
const HOLD: Duration = Duration::from_secs(2);

/// Jobs on one page of the list.
const PAGE: &str = "100";

/// One of many: the job, or why there is none.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// What foreman said last.
    pub(super) value: Value,
    /// Whether it was forgotten meanwhile.
    gone: bool,
}

impl Member {
    /// Takes the result of a submission.
    pub(super) fn new(mut result: Value) -> Self {
        let job = result.get_mut("job").filter(|job| job.is_object());
        let value = job.map(Value::take).unwrap_or(result);
        Self { value, gone: false }
    }

    fn id(&self) -> Option<&str> {
        self.value.get("id")?.as_str()
    }

    fn state(&self) -> &str {
        let state = self.value.get("state").and_then(Value::as_str);
        state.unwrap_or_default()
    }

    /// Tells whether no job came of it.
    pub(super) fn is_refused(&self) -> bool {
        self.id().is_none()
    }

    /// Returns why no job came of it.
    pub(super) fn refusal(&self) -> Option<&str> {
        if !self.is_refused() {
            return None;
        }
        let error = self.value.get("error");
        let message = error.and_then(|error| error.get("message").or(Some(error)));
        Some(message.and_then(Value::as_str).unwrap_or("refused"))
    }

    /// Tells whether it went well.
    pub(super) fn is_done(&self) -> bool {
        self.state() == "done"
    }

    fn is_over(&self) -> bool {
        self.gone || self.is_refused() || matches!(self.state(), "done" | "failed" | "cancelled")
    }

    fn eta(&self) -> Option<f64> {
        self.value.get("eta_seconds")?.as_f64()
    }
}

/// Waits until all are over.
pub(super) async fn watch(
    members: &mut [Member],
    line: &mut StatusLine,
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<(), CommandError> {
    let began = Instant::now();
    loop {
        line.show(console.output.err, status(members, began.elapsed()))?;
        let Some(first) = members.iter().find(|member| !member.is_over()) else {
            return Ok(());
        };
        let path = format!(
            "{JOBS}/{}?wait={}s",
            first.id().unwrap_or_default(),
            HOLD.as_secs()
        );
        match remote.get(&path, Waiting::For(HOLD)).await {
            Ok(_) | Err(CommandError::Refused { status: 404, .. }) => {}
            Err(error) => {
                line.clear(console.output.err)?;
                return Err(error);
            }
        }
        refresh(members, remote).await?;
    }
}

/// Looks at all that are not over, page by page from the newest.
async fn refresh(members: &mut [Member], remote: &Remote) -> Result<(), CommandError> {
    let mut open: HashMap<String, usize> = HashMap::new();
    for (at, member) in members.iter().enumerate() {
        if let Some(id) = member.id().filter(|_| !member.is_over()) {
            open.insert(id.to_owned(), at);
        }
    }
    let mut cursor = None;
    while !open.is_empty() {
        let path = query(JOBS, &[("limit", Some(PAGE)), ("after", cursor.as_deref())]);
        let page = remote.get_json(&path, Waiting::Not).await?;
        let page: JobPage = remote.shape(page)?;
        for job in page.jobs {
            let at = job.get("id").and_then(Value::as_str);
            let at = at.and_then(|id| open.remove(id));
            if let Some(member) = at.and_then(|at| members.get_mut(at)) {
                member.value = job;
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    // What the whole list does not hold has been forgotten.
    let mut gone: Vec<usize> = open.into_values().collect();
    gone.sort_unstable();
    for at in gone {
        if let Some(member) = members.get_mut(at) {
            member.gone = true;
        }
    }
    Ok(())
}

fn status(members: &[Member], elapsed: Duration) -> String {
    let all = members.len();
    let over = members.iter().filter(|member| member.is_over()).count();
    let failed = members
        .iter()
        .filter(|member| member.is_over() && !member.is_done())
        .count();
    let failed = match failed {
        0 => String::new(),
        count => format!(", {count} not done"),
    };
    let left = match left(members, over, elapsed) {
        Some(left) if over < all => format!(", ~{} left", brief(left)),
        Some(_) | None => String::new(),
    };
    format!("{} {over} of {all} over{failed}{left}", bar(over, all))
}

/// Guesses how long it takes: as foreman estimates the last of them, else as the others took.
fn left(members: &[Member], over: usize, elapsed: Duration) -> Option<Duration> {
    let open = members.iter().filter(|member| !member.is_over());
    let etas: Option<Vec<f64>> = open.map(Member::eta).collect();
    let last = etas.and_then(|etas| etas.into_iter().reduce(f64::max));
    if let Some(last) = last {
        return Duration::try_from_secs_f64(last).ok();
    }
    let rest = u32::try_from(members.len().saturating_sub(over)).ok()?;
    let over = u32::try_from(over).ok()?;
    elapsed.checked_mul(rest)?.checked_div(over)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn member(state: &str, eta: Option<u32>) -> Member {
        Member::new(json!({"id": "01J", "state": state, "eta_seconds": eta}))
    }

    #[test]
    fn the_estimate_of_foreman_counts_where_there_is_one() {
        let minute = Duration::from_mins(1);
        let members = [
            member("done", None),
            member("queued", Some(9)),
            member("queued", Some(95)),
        ];

        assert_eq!(
            status(&members, minute),
            "[########................] 1 of 3 over, ~1m35s left"
        );
    }

    #[test]
    fn without_one_the_rest_takes_as_long_as_the_others_took() {
        let minute = Duration::from_mins(1);
        let members = [
            member("done", None),
            member("failed", None),
            member("queued", None),
        ];

        assert!(status(&members, minute).ends_with("2 of 3 over, 1 not done, ~30s left"));
        let none_over = [member("queued", None)];
        assert!(status(&none_over, minute).ends_with("0 of 1 over"));
    }

    #[test]
    fn a_refused_one_is_over_and_says_why() {
        let refused =
            Member::new(json!({"error": "model \"x\" not found", "code": "unknown_model"}));

        assert!(refused.is_over() && refused.is_refused() && !refused.is_done());
        assert_eq!(refused.refusal(), Some("model \"x\" not found"));
        let accepted = Member::new(json!({"job": {"id": "01J", "state": "queued"}}));
        assert_eq!(accepted.id(), Some("01J"));
    }
}
