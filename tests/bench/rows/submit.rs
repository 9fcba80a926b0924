//! Jobs that nobody waits for, while nothing runs.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio::time::Instant;

use crate::Plan;
use crate::http::{Answer, Connection, Template, contains};
use crate::load::{Load, float};
use crate::programs::{CHAT, MODELS};
use crate::stand::Stand;
use crate::table::{Figure, Unit};

/// Jobs of one array.
pub(super) const ARRAY: usize = 1000;

/// Settings with which all of them may wait.
pub(super) const ROOM: &[(&str, &str)] = &[("FOREMAN_MAX_QUEUE", "3000000")];

/// One job a request, from many connections.
pub(super) async fn single(plan: Plan) -> Vec<Figure> {
    let stand = Stand::start(ROOM).await;
    stand.pause().await;
    let load = load(&stand, plan);
    let sync = stand.fdatasync();
    let through = load.on(&stand.foreman).await;
    let warm = u64::try_from(load.connections).expect("a count");
    assert_eq!(stand.waiting().await, through.served.count + warm, "jobs");
    vec![
        Figure::new("foreman", through.served.rate(), Unit::PerSecond),
        Figure::micros("foreman, p99", through.served.within(0.99)),
        Figure::micros("foreman, CPU each", through.cpu_each()),
        Figure::micros("fdatasync, p50", sync),
    ]
}

/// A thousand jobs a request.
pub(super) async fn arrays(plan: Plan) -> Vec<Figure> {
    let stand = Stand::start(ROOM).await;
    stand.pause().await;
    let mut connection = Connection::open(stand.foreman.address).await;
    let before = stand.foreman.cpu();
    let began = Instant::now();
    let mut count: u64 = 0;
    while began.elapsed() < plan.time {
        count += array(&mut connection, count).await;
    }
    let took = began.elapsed();
    let cpu = stand.foreman.cpu().saturating_sub(before);
    assert_eq!(stand.waiting().await, count, "jobs");
    vec![
        Figure::new(
            "foreman",
            float(count) / took.as_secs_f64(),
            Unit::PerSecond,
        ),
        Figure::micros(
            "foreman, CPU each",
            cpu / u32::try_from(count).expect("a count"),
        ),
    ]
}

pub(super) fn load(stand: &Stand, plan: Plan) -> Load {
    let body = format!(r#"{{"endpoint":"/api/chat","request":{}}}"#, chat(CHAT));
    Load {
        address: stand.foreman.address,
        template: Template::new("POST", "/foreman/v1/jobs", &body),
        check,
        connections: 64,
        time: plan.time,
    }
}

/// Submits an array over all models, and returns how many jobs it made.
pub(super) async fn array(connection: &mut Connection, first: u64) -> u64 {
    let items: Vec<String> = (0..ARRAY)
        .map(|number| {
            let model = format!("chat{}:1b", number % MODELS);
            format!(r#"{{"endpoint":"/api/chat","request":{}}}"#, chat(&model))
        })
        .collect();
    let body = format!("[{}]", items.join(","));
    let mut template = Template::new("POST", "/foreman/v1/jobs", &body);
    let answer = connection.ask(template.with(first)).await;
    assert_eq!(answer.status, 202, "an array");
    let jobs: Vec<Value> = serde_json::from_slice(answer.body).expect("an array");
    let ids: BTreeSet<_> = jobs
        .iter()
        .filter_map(|job| job.get("id")?.as_str())
        .collect();
    assert_eq!(ids.len(), ARRAY, "each has an id of its own");
    u64::try_from(ids.len()).expect("a count")
}

fn chat(model: &str) -> String {
    format!(
        r#"{{"model":"{model}","stream":false,"messages":[{{"role":"user","content":"say {{n}}"}}]}}"#
    )
}

fn check(answer: &Answer<'_>, _number: u64) -> bool {
    answer.status == 202
        && contains(answer.body, b"\"id\":\"")
        && contains(answer.body, b"\"state\":\"queued\"")
}
