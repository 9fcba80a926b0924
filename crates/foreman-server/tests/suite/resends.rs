//! Requests that client libraries send again by themselves.

use std::time::Duration;

use foreman_server::{Interim, ServerConfig};
use foreman_stub::{Hold, Stub};

use crate::harness::{Caller, Front, Reply, chat};

fn sent(count: u32) -> String {
    format!("POST /v1/chat/completions\nX-Stainless-Lang: python\nX-Stainless-Retry-Count: {count}")
}

async fn last_reply(caller: &mut Caller) -> Reply {
    let mut reply = caller.reply().await;
    while reply.status == 102 {
        reply = caller.reply().await;
    }
    reply
}

#[tokio::test]
async fn a_request_that_is_sent_again_makes_no_second_job() {
    let config = ServerConfig {
        interim: Interim::On(Duration::from_millis(1)),
        ..ServerConfig::default()
    };
    let front = Front::start_with(config, Stub::builder()).await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut running = front.caller().await;
    running.send("POST /api/chat", &chat("running")).await;
    gate.reached().await;
    let mut lost = front.caller().await;
    lost.send(&sent(0), &chat("hello")).await;
    front.until_queued(1).await;

    drop(lost);
    let mut again = front.caller().await;
    again.send(&sent(1), &chat("hello")).await;
    // It has its place as soon as it waits.
    assert_eq!(again.head().await.0, 102);
    assert_eq!(front.scheduler.store().counts().queued, 1);
    let mut other = front.caller().await;
    other.send(&sent(1), &chat("something else")).await;
    front.until_queued(2).await;
    gate.release();

    assert_eq!(last_reply(&mut running).await.status, 200);
    assert!(last_reply(&mut again).await.text().contains("hello"));
    assert_eq!(last_reply(&mut other).await.status, 200);
    let record = front.stub.record();
    assert_eq!(record.on("/v1/chat/completions").count(), 2);
    assert_eq!(front.scheduler.store().counts().cancelled, 0);
}
