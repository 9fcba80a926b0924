//! Many jobs: submitted in portions, and watched together until all are over.

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::SubmitArgs;
use super::progress::{Member, watch};
use crate::commands::jobs::JOBS;
use crate::commands::{CommandError, Form};
use crate::exit::Exit;
use crate::remote::{JobView, Remote, Waiting};
use crate::screen::{Cell, Console, Paint, StatusLine, Table, bar, of_state};

/// Jobs that are sent at once, and bytes: an upload that fails costs only so much.
const PORTION: usize = 200;
const PORTION_BYTES: usize = 8 * 1024 * 1024;

/// Submits many jobs.
pub(super) async fn run(
    args: &SubmitArgs,
    submissions: &[Value],
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    let mut members = Vec::with_capacity(submissions.len());
    let mut line = StatusLine::new(console.stderr);
    let all = submissions.len();
    for portion in portions(submissions) {
        let count = portion.count;
        let sent = send(portion, remote).await;
        let results = match sent {
            Ok(results) => results,
            Err(error) => {
                line.clear(console.output.err)?;
                // What was accepted runs: whoever submits the rest must know where to go on.
                if !members.is_empty() {
                    print(&members, remote, console)?;
                }
                return Err(error);
            }
        };
        if results.len() != count {
            let what = format!("{} results for {count} jobs", results.len());
            return Err(remote.foreign(what));
        }
        members.extend(results.into_iter().map(Member::new));
        let status = format!(
            "{} {} of {all} submitted",
            bar(members.len(), all),
            members.len()
        );
        line.show(console.output.err, status)?;
    }
    if args.wait {
        watch(&mut members, &mut line, remote, console).await?;
    }
    line.clear(console.output.err)?;
    print(&members, remote, console)?;
    let bad = |member: &Member| member.is_refused() || (args.wait && !member.is_done());
    let bad = members.iter().filter(|member| bad(member)).count();
    if bad == 0 {
        return Ok(Exit::Ok);
    }
    let what = if args.wait { "not done" } else { "refused" };
    console.remark(&format!("{bad} of {all} {what}"))?;
    Ok(Exit::Failed)
}

struct Portion {
    lines: String,
    count: usize,
}

fn portions(submissions: &[Value]) -> Vec<Portion> {
    let mut portions: Vec<Portion> = Vec::new();
    for submission in submissions {
        let line = submission.to_string();
        let fits = |last: &Portion| {
            let bytes = last.lines.len().saturating_add(line.len());
            last.count < PORTION && bytes <= PORTION_BYTES
        };
        if !portions.last().is_some_and(fits) {
            portions.push(Portion {
                lines: String::new(),
                count: 0,
            });
        }
        if let Some(last) = portions.last_mut() {
            last.lines.push_str(&line);
            last.lines.push('\n');
            last.count = last.count.saturating_add(1);
        }
    }
    portions
}

/// Sends a portion; gives one result for each of its jobs.
async fn send(portion: Portion, remote: &Remote) -> Result<Vec<Value>, CommandError> {
    let body = (Bytes::from(portion.lines), "application/x-ndjson");
    let answer = remote
        .open(Method::POST, JOBS, Some(body), Waiting::ForEver)
        .await?;
    let body = remote.whole(answer).await?;
    if body.trim_ascii_start().starts_with(b"[") {
        return remote.parse(&body);
    }
    let lines = body.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.trim_ascii().is_empty());
    lines.map(|line| remote.parse(line)).collect()
}

fn print(
    members: &[Member],
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<(), CommandError> {
    if console.form == Form::Json {
        for member in members {
            console.json(&member.value)?;
        }
        return Ok(());
    }
    let mut table = Table::new(["ID", "STATE", "MODEL", "NOTE"]);
    for member in members {
        if let Some(reason) = member.refusal() {
            let refused = Cell::painted("refused", Paint::Bad);
            table.row(["-".into(), refused, "".into(), reason.into()]);
            continue;
        }
        let job: JobView = remote.shape(member.value.clone())?;
        let reason = job.error.as_ref().map(|error| error.message.clone());
        let note = reason.unwrap_or_else(|| job.note());
        let state = Cell::painted(&*job.state, of_state(&job.state));
        table.row([job.id.into(), state, job.model.into(), note.into()]);
    }
    Ok(console.table(&table)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn portions_keep_the_order_and_are_bounded_in_number_and_size() {
        let many: Vec<Value> = (0..450).map(|n| json!({"n": n})).collect();
        let large: Vec<Value> = (0..3)
            .map(|_| json!("x".repeat(PORTION_BYTES / 2)))
            .collect();

        let counts: Vec<usize> = portions(&many).iter().map(|it| it.count).collect();
        let lines: String = portions(&many).into_iter().map(|it| it.lines).collect();

        assert_eq!(counts, [200, 200, 50]);
        assert!(lines.starts_with("{\"n\":0}\n{\"n\":1}\n") && lines.ends_with("{\"n\":449}\n"));
        assert_eq!(portions(&large).len(), 3);
    }
}
