//! `foreman queue`: how the queue is, and whether it goes on.

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::commands::{CommandError, Form};
use crate::exit::Exit;
use crate::remote::{Remote, RemoteArgs, Waiting};
use crate::screen::{Cell, Console, Paint, Table, brief};

/// Where the queue is at foreman.
const QUEUE: &str = "/foreman/v1/queue";

/// Arguments of `foreman queue`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = false)]
pub(crate) struct QueueArgs {
    #[command(subcommand)]
    pub(crate) command: Option<QueueCommand>,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

/// What to do with the queue.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Start nothing new, or nothing new for one model, until it is resumed.
    Pause(Which),
    /// Go on, with all models or with one.
    Resume(Which),
}

/// Whom it concerns.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The model; none: the whole queue.
    model: Option<String>,
}

/// Shows the queue, or changes whether it goes on.
pub(crate) async fn queue(
    command: Option<&QueueCommand>,
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    let queue = match command {
        None => Some(remote.get_json(QUEUE, Waiting::Not).await?),
        Some(QueueCommand::Pause(which)) => steer("pause", which, remote).await?,
        Some(QueueCommand::Resume(which)) => steer("resume", which, remote).await?,
    };
    match (console.form, command) {
        (Form::Json, _) => console.json(&queue.unwrap_or_default())?,
        (Form::Table, None) => overview(&queue.unwrap_or_default(), console)?,
        (Form::Table, Some(QueueCommand::Pause(which))) => {
            let what = which.name();
            console.line(&format!("paused {what}; what runs is brought to its end"))?;
        }
        (Form::Table, Some(QueueCommand::Resume(which))) => {
            console.line(&format!("resumed {}", which.name()))?;
        }
    }
    Ok(Exit::Ok)
}

impl Which {
    fn name(&self) -> &str {
        self.model.as_deref().unwrap_or("the queue")
    }
}

async fn steer(what: &str, which: &Which, remote: &Remote) -> Result<Option<Value>, CommandError> {
    let body = which.model.as_ref().map(|model| json!({"model": model}));
    let path = format!("{QUEUE}/{what}");
    remote.send(Method::POST, &path, body.as_ref()).await
}

fn overview(queue: &Value, console: &mut Console<'_, '_>) -> Result<(), CommandError> {
    let waiting = ["queued", "depth"]
        .iter()
        .find_map(|key| number(queue, key));
    let mut pairs = vec![(
        "waiting",
        Cell::from(waiting.unwrap_or_default().to_string()),
    )];
    if let Some(oldest) = queue.get("oldest_age_seconds").and_then(Value::as_f64) {
        let oldest = Duration::try_from_secs_f64(oldest).unwrap_or_default();
        pairs.push(("oldest", brief(oldest).into()));
    }
    pairs.push(("running", running(queue)));
    pairs.push(("resident", resident(queue).into()));
    pairs.push(("target", target(queue)));
    let swaps = number(queue, "swaps").unwrap_or_default();
    let avoided = number(queue, "swaps_avoided").unwrap_or_default();
    pairs.push(("swaps", format!("{swaps} made, {avoided} avoided").into()));
    let paused = paused(queue);
    if !paused.is_empty() {
        pairs.push(("paused", Cell::painted(paused, Paint::Bad)));
    }
    console.pairs(pairs)?;
    for (title, key) in [
        ("MODEL", "by_model"),
        ("PRIORITY", "by_priority"),
        ("CALLER", "by_caller"),
    ] {
        let rows = depths(queue, key);
        if rows.is_empty() {
            continue;
        }
        let mut table = Table::new([title, "WAITING"]);
        for (name, count) in rows {
            table.row([name.into(), count.to_string().into()]);
        }
        console.line("")?;
        console.table(&table)?;
    }
    Ok(())
}

fn number(value: &Value, key: &str) -> Option<u64> {
    value.get(key)?.as_u64()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

fn running(queue: &Value) -> Cell {
    let Some(job) = queue.get("running").filter(|job| job.is_object()) else {
        return Cell::painted("nothing", Paint::Dim);
    };
    let part = |key| text(job, key).unwrap_or("?");
    let line = format!("{} {} ({})", part("id"), part("model"), part("state"));
    Cell::painted(line, Paint::Busy)
}

fn resident(queue: &Value) -> String {
    let models = queue.get("resident").and_then(Value::as_array);
    let models = models.map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = models
        .iter()
        .filter_map(|model| model.as_str().or_else(|| text(model, "model")))
        .collect();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

fn target(queue: &Value) -> Cell {
    let target = queue.get("target").unwrap_or(&Value::Null);
    match target.get("reachable").and_then(Value::as_bool) {
        Some(true) => Cell::painted("reachable", Paint::Good),
        Some(false) => Cell::painted("unreachable: jobs wait until it is back", Paint::Bad),
        None => target.as_str().unwrap_or("unknown").into(),
    }
}

fn paused(queue: &Value) -> String {
    let paused = queue.get("paused").unwrap_or(&Value::Null);
    let everything = paused.as_bool().or_else(|| paused.get("all")?.as_bool());
    if everything == Some(true) {
        return "everything".to_owned();
    }
    let models = paused.get("models").and_then(Value::as_array);
    let models = models.map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = models.iter().filter_map(Value::as_str).collect();
    names.join(", ")
}

/// Returns names with the number of their waiting jobs, most first.
fn depths(queue: &Value, key: &str) -> Vec<(String, u64)> {
    let groups = queue.get(key).and_then(Value::as_object);
    let mut rows: Vec<(String, u64)> = groups
        .into_iter()
        .flatten()
        .filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)))
        .filter(|(_, count)| *count > 0)
        .collect();
    rows.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    rows
}
