//! Embeddings, which go straight through: beside nginx.

use crate::Plan;
use crate::http::{Answer, Template, contains};
use crate::load::Load;
use crate::programs::{EMBED, Program};
use crate::stand::Stand;
use crate::table::{Figure, Unit};

const CONNECTIONS: usize = 32;

pub(super) async fn measure(plan: Plan) -> Vec<Figure> {
    let stand = Stand::start(&[]).await;
    let load = Load {
        address: stand.stub.address,
        template: template(),
        check,
        connections: CONNECTIONS,
        time: plan.time,
    };
    let direct = load.run().await;
    let through = load.on(&stand.foreman).await;
    let ratio = through.served.rate() / direct.rate();
    let mut figures = vec![
        Figure::new("direct", direct.rate(), Unit::PerSecond),
        Figure::new("foreman", through.served.rate(), Unit::PerSecond),
        Figure::new("foreman / direct", ratio, Unit::Ratio),
        Figure::micros("foreman, CPU each", through.cpu_each()),
    ];
    let Some(nginx) = Program::nginx(stand.stub.address, stand.directory()).await else {
        return figures;
    };
    let beside = load.on(&nginx).await;
    let ratio = through.served.rate() / beside.served.rate();
    let costs = through.cpu_each().as_secs_f64() / beside.cpu_each().as_secs_f64();
    figures.extend([
        Figure::new("nginx", beside.served.rate(), Unit::PerSecond),
        Figure::micros("nginx, CPU each", beside.cpu_each()),
        Figure::new("foreman / nginx", ratio, Unit::Ratio),
        Figure::new("foreman / nginx, CPU each", costs, Unit::Ratio),
    ]);
    figures
}

fn template() -> Template {
    let body = format!(r#"{{"model":"{EMBED}","input":"text {{n}}"}}"#);
    Template::new("POST", "/api/embed", &body)
}

/// A vector of the right length, and not cut short.
fn check(answer: &Answer<'_>, _number: u64) -> bool {
    let numbers = answer.body.split(|byte| *byte == b',').count();
    answer.status == 200
        && contains(answer.body, b"\"embeddings\":[[")
        && numbers >= 32
        && answer.body.ends_with(b"}")
}
