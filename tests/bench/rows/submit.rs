//! Jobs that nobody waits for, while nothing runs.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::Plan;
use crate::http::{Answer, Connection, Template, contains};
use crate::load::{Load, float};
use crate::programs::{CHAT, MODELS};
use crate::stand::Stand;
use crate::table::{Figure, Unit};

/// Jobs of one array.
pub(super) const ARRAY: usize = 1000;

const JOBS: u64 = 1000;

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

/// A thousand jobs a request, from as many connections, and from one.
pub(super) async fn arrays(plan: Plan) -> Vec<Figure> {
    let stand = Stand::start(ROOM).await;
    stand.pause().await;
    let many = load(&stand, plan).of_arrays();
    let through = many.on(&stand.foreman).await;
    let alone = Load {
        connections: 1,
        ..many.clone()
    };
    let lone = alone.on(&stand.foreman).await;
    let warm = u64::try_from(many.connections + alone.connections).expect("a count");
    let arrays = through.served.count + lone.served.count + warm;
    assert_eq!(stand.waiting().await, arrays * JOBS, "jobs");
    let jobs = float(JOBS);
    let each = u32::try_from(JOBS).expect("a count");
    vec![
        Figure::new("foreman", through.served.rate() * jobs, Unit::PerSecond),
        Figure::micros("foreman, CPU each", through.cpu_each() / each),
        Figure::new(
            "foreman, one connection",
            lone.served.rate() * jobs,
            Unit::PerSecond,
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
    let answer = connection.ask(template().with(first)).await;
    assert!(check_array(&answer, first), "an array");
    JOBS
}

impl Load {
    /// The same with an array in place of each job.
    fn of_arrays(self) -> Self {
        Self {
            template: template(),
            check: check_array,
            ..self
        }
    }
}

/// An array over all models.
fn template() -> Template {
    let items: Vec<String> = (0..ARRAY)
        .map(|number| {
            let model = format!("chat{}:1b", number % MODELS);
            format!(r#"{{"endpoint":"/api/chat","request":{}}}"#, chat(&model))
        })
        .collect();
    Template::new(
        "POST",
        "/foreman/v1/jobs",
        &format!("[{}]", items.join(",")),
    )
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

/// Each job of the array has been accepted, with an id of its own.
fn check_array(answer: &Answer<'_>, _number: u64) -> bool {
    #[derive(Deserialize)]
    struct Job<'a> {
        id: &'a str,
        state: &'a str,
    }
    let Ok(jobs) = serde_json::from_slice::<Vec<Job<'_>>>(answer.body) else {
        return false;
    };
    let ids: BTreeSet<_> = jobs.iter().map(|job| job.id).collect();
    answer.status == 202 && ids.len() == ARRAY && jobs.iter().all(|job| job.state == "queued")
}
