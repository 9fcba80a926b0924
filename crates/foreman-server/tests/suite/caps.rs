//! What one caller may have at once.

use foreman_job::Priority;
use foreman_server::{ServerConfig, TokenEntry};
use foreman_stub::{Hold, Stub};

use crate::harness::{Front, chat};

const ANN: &str = "POST /api/chat\nAuthorization: Bearer token-of-ann";
const BOB: &str = "POST /api/chat\nAuthorization: Bearer token-of-bob";

async fn front(queued: Option<u64>, concurrent: Option<u64>) -> Front {
    let ann = TokenEntry::new("ann", "token-of-ann", Priority::High);
    let config = ServerConfig {
        tokens: vec![
            ann.with_caps(queued, concurrent),
            TokenEntry::new("bob", "token-of-bob", Priority::High),
        ],
        ..ServerConfig::default()
    };
    Front::start_with(config, Stub::builder()).await
}

#[tokio::test]
async fn a_callers_waiting_jobs_are_bounded_in_the_targets_words() {
    let front = front(Some(1), None).await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut running = front.caller().await;
    running.send(ANN, &chat("running")).await;
    gate.reached().await;
    let mut waiting = front.caller().await;
    waiting.send(ANN, &chat("waiting")).await;
    front.until_queued(1).await;

    let refused = front.ask(ANN, &chat("refused")).await;
    let mut other = front.caller().await;
    other.send(BOB, &chat("other")).await;
    front.until_queued(2).await;

    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.json()["error"],
        "server busy, please try again.  maximum pending requests exceeded"
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
    gate.release();
    for caller in [&mut running, &mut waiting, &mut other] {
        assert_eq!(caller.reply().await.status, 200);
    }
}

#[tokio::test]
async fn a_callers_open_requests_are_bounded_until_their_answers_end() {
    let front = front(None, Some(1)).await;
    let gate = front.stub.hold(Hold::after_chunks(1));
    let mut open = front.caller().await;
    open.send(ANN, &chat("one two three")).await;
    assert_eq!(open.head().await.0, 200);
    gate.reached().await;

    let refused = front.ask(ANN, &chat("refused")).await;
    let embedded = front
        .ask(
            &ANN.replace("/api/chat", "/api/tags").replace("POST", "GET"),
            "",
        )
        .await;

    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(
        refused.header("x-foreman-error-code"),
        Some("too_many_requests")
    );
    assert_eq!(embedded.status, 200);
    gate.release();
    while !open.chunk().await.is_empty() {}
    drop(open);
    let mut again = front.ask(ANN, &chat("again")).await;
    while again.status == 429 {
        // The end of the first answer is noted after its last byte was sent.
        again = front.ask(ANN, &chat("again")).await;
    }
    assert_eq!(again.status, 200);
}
