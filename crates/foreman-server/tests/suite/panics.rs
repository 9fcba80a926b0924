//! A defect in a handler: its caller is told, and nobody else notices.

use std::sync::Arc;

use async_trait::async_trait;
use foreman_ollama::{
    Deadlines, HyperClient, OllamaClient, TargetConfig, TargetError, TargetRequest, TargetResponse,
};
use foreman_scheduler::SchedulerConfig;
use foreman_server::ServerConfig;
use foreman_stub::{Hold, Stub};

use crate::harness::{Front, chat};

/// A client with a defect that embeddings meet, within their handler.
#[derive(Debug)]
struct Defect(HyperClient);

#[async_trait]
impl OllamaClient for Defect {
    async fn forward(&self, request: TargetRequest) -> Result<TargetResponse, TargetError> {
        assert_ne!(
            request.path_and_query, "/api/embed",
            "a secret of the handler"
        );
        self.0.forward(request).await
    }

    fn deadlines(&self) -> Deadlines {
        self.0.deadlines()
    }
}

#[tokio::test]
async fn a_panic_in_a_handler_costs_its_caller_a_500_and_nobody_else_anything() {
    let stub = Stub::start().await.unwrap();
    let config = TargetConfig {
        url: stub.url(),
        ..TargetConfig::default()
    };
    let client = Arc::new(Defect(HyperClient::new(config).unwrap()));
    let settings = (ServerConfig::default(), SchedulerConfig::default());
    let front = Front::start_on(client, stub, settings.0, settings.1).await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut other = front.caller().await;
    other.send("POST /api/chat", &chat("running")).await;
    gate.reached().await;

    let mut caller = front.caller().await;
    let embed = r#"{"model":"all-minilm","input":"x"}"#;
    let mut told = Vec::new();
    for _ in 0..2 {
        caller.send("POST /api/embed", embed).await;
        told.push(caller.reply().await);
    }
    caller.send("GET /metrics", "").await;
    let metrics = caller.reply().await.chunks.concat();
    gate.release();
    let answer = other.reply().await;

    for reply in told {
        assert_eq!(
            (reply.status, reply.json()["code"].as_str()),
            (500, Some("internal"))
        );
        assert!(!reply.chunks.concat().contains("secret"));
    }
    assert!(
        metrics.contains("foreman_http_panics_total 2\n"),
        "{metrics}"
    );
    assert_eq!(answer.status, 200);
    assert_eq!(front.post("/api/chat", &chat("next")).await.status, 200);
}
