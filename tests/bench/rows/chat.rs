//! Chats that are answered in one piece by a target that needs no time.

use crate::Plan;
use crate::http::{Answer, Template, contains, digits};
use crate::load::Load;
use crate::programs::{CHAT, Program};
use crate::stand::Stand;
use crate::table::{Figure, Unit};

/// What a lone caller waits longer than without foreman.
pub(super) async fn one(plan: Plan) -> Vec<Figure> {
    let stand = Stand::start(&[]).await;
    let load = load(&stand, 1, plan);
    let direct = load.run().await;
    let before = stand.fdatasync();
    let through = load.on(&stand.foreman).await;
    let sync = (before + stand.fdatasync()) / 2;
    let added = through
        .served
        .within(0.5)
        .saturating_sub(direct.within(0.5));
    let bound = (sync * 2).as_secs_f64() + 100e-6;
    vec![
        Figure::micros("direct, p50", direct.within(0.5)),
        Figure::micros("foreman, p50", through.served.within(0.5)),
        Figure::micros("added, p50", added),
        Figure::micros("fdatasync, p50", sync),
        Figure::added("added beyond two fdatasync, p50", added, sync * 2),
        Figure::new(
            "added / (100 µs + two fdatasync)",
            added.as_secs_f64() / bound,
            Unit::Ratio,
        ),
        Figure::micros("foreman, CPU each", through.cpu_each()),
    ]
}

/// How many chats go through, beside a front that keeps nothing.
pub(super) async fn many(plan: Plan) -> Vec<Figure> {
    const CONNECTIONS: usize = 64;
    let stand = Stand::start(&[]).await;
    let load = load(&stand, CONNECTIONS, plan);
    let direct = load.run().await;
    let before = stand.fdatasync();
    let through = load.on(&stand.foreman).await;
    let sync = (before + stand.fdatasync()) / 2;
    let rate = through.served.rate();
    let mut figures = vec![
        Figure::new("direct", direct.rate(), Unit::PerSecond),
        Figure::new("foreman", rate, Unit::PerSecond),
        Figure::new("foreman / direct", rate / direct.rate(), Unit::Ratio),
        Figure::micros("fdatasync, p50", sync),
        Figure::new(
            "foreman, per fdatasync",
            rate * sync.as_secs_f64(),
            Unit::Ratio,
        ),
        Figure::micros("foreman, p99", through.served.within(0.99)),
        Figure::micros("foreman, CPU each", through.cpu_each()),
    ];
    let Some(other) = Program::ollama_mq(stand.stub.address, stand.directory()).await else {
        return figures;
    };
    let beside = load.on(&other).await;
    figures.extend([
        Figure::new("ollamaMQ", beside.served.rate(), Unit::PerSecond),
        Figure::micros("ollamaMQ, CPU each", beside.cpu_each()),
        Figure::new(
            "foreman / ollamaMQ",
            rate / beside.served.rate(),
            Unit::Ratio,
        ),
    ]);
    figures
}

fn load(stand: &Stand, connections: usize, plan: Plan) -> Load {
    Load {
        address: stand.stub.address,
        template: template(),
        check,
        connections,
        time: plan.time,
    }
}

/// A chat whose answer repeats its number.
pub(super) fn template() -> Template {
    let body = format!(
        r#"{{"model":"{CHAT}","stream":false,"messages":[{{"role":"user","content":"say {{n}}"}}]}}"#
    );
    Template::new("POST", "/api/chat", &body)
}

fn check(answer: &Answer<'_>, number: u64) -> bool {
    answer.status == 200
        && contains(answer.body, format!("say {}\"", digits(number)).as_bytes())
        && contains(answer.body, b"\"done\":true")
}
