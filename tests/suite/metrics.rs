//! The metrics, and the table of them in the manual.

use std::collections::{BTreeMap, BTreeSet};

use foreman_stub::{Fault, FaultRule};
use foreman_tests::{Foreman, Pair, chat, stub};
use serde_json::json;

use crate::{A, foreman};

/// What is known of a metric: its type, its labels, what it is.
type Known = BTreeMap<String, (String, BTreeSet<String>, String)>;

async fn metrics(foreman: &Foreman) -> String {
    let reply = foreman.get("/metrics").await;
    assert_eq!(reply.status(), 200);
    reply.text()
}

/// Reads the text that Prometheus would read.
fn told(text: &str) -> Known {
    let mut known = Known::new();
    let mut help = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, text) = rest.split_once(' ').unwrap();
            help.insert(name, text.trim_end_matches('.'));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let total = if kind == "counter" { "_total" } else { "" };
            current = format!("{name}{total}");
            let text = help[name].to_owned();
            known.insert(current.clone(), (kind.to_owned(), BTreeSet::new(), text));
        } else if let Some((_, rest)) = line.split_once('{') {
            let labels = rest.split_once('}').unwrap().0;
            let names = labels.split(',').filter_map(|label| label.split_once('='));
            let names = names.map(|(name, _)| name.to_owned());
            let known = known.get_mut(&current).unwrap();
            known.1.extend(names.filter(|name| name != "le"));
        }
    }
    known
}

/// Reads the table of the manual.
fn written() -> Known {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (_, rest) = readme.split_once("<!-- metrics:begin -->").unwrap();
    let (table, _) = rest.split_once("<!-- metrics:end -->").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let labels = cells[2]
            .split(',')
            .map(|label| label.trim().trim_matches('`'));
        let labels = labels.filter(|label| !label.is_empty());
        let name = cells[0].trim_matches('`').to_owned();
        let labels = labels.map(str::to_owned).collect();
        (name, (cells[1].to_owned(), labels, cells[3].to_owned()))
    })
    .collect()
}

#[tokio::test]
async fn the_manual_has_the_metrics_as_they_are() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    // One attempt that fails and one that does not give every metric a value.
    stub.inject(FaultRule::once(Fault::ResetAfter(0)).on_path("/api/chat"));
    foreman.post("/api/chat", &chat(A, "hi")).await;
    // And one that waits.
    foreman.post("/foreman/v1/queue/pause", &json!({})).await;
    let job = json!({"endpoint": "/api/chat", "request": chat(A, "hi")});
    foreman.post("/foreman/v1/jobs", &job).await;

    let text = metrics(&foreman).await;

    pretty_assertions::assert_eq!(told(&text), written());
}

#[tokio::test]
async fn what_happened_is_in_the_figures() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    foreman.post("/api/chat", &chat(A, "hi")).await;

    let text = metrics(&foreman).await;

    let value = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name} is not in\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let done = format!("foreman_jobs_settled_total{{state=\"done\",model=\"{A}\"}}");
    assert!((value(&done) - 1.0).abs() < f64::EPSILON);
    assert!(value("foreman_store_commit_seconds_count") >= 3.0);
    assert!(value("foreman_store_commit_commands_sum") >= 3.0);
    assert!(value("foreman_store_wal_bytes") > 0.0);
    assert!(value("foreman_http_open_streams").abs() < f64::EPSILON);
}
