//! A foreman that nobody uses.

use crate::Plan;
use crate::http::Connection;
use crate::probe;
use crate::programs;
use crate::rows::depth::mib;
use crate::stand::Stand;
use crate::table::{Figure, Unit};

pub(super) async fn measure(plan: Plan) -> Vec<Figure> {
    let stand = Stand::start(&[]).await;
    let mut connection = Connection::open(stand.foreman.address).await;
    assert_eq!(connection.get("/healthz").await.status, 200, "its health");
    let before = stand.foreman.cpu();
    let time = plan.time * 4;
    tokio::time::sleep(time).await;
    let cpu = stand.foreman.cpu().saturating_sub(before);
    let share = cpu.as_secs_f64() / time.as_secs_f64();
    let size = std::fs::metadata(programs::foreman()).expect("the program");
    vec![
        Figure::new("memory", mib(probe::memory(stand.foreman.pid())), Unit::Mib),
        Figure::new("CPU", share * 100.0, Unit::Percent),
        Figure::new("program", mib(size.len()), Unit::Mib),
    ]
}
