//! What runs next.

use std::collections::BTreeMap;
use std::time::Duration;

use foreman_ollama::{FakeOllama, FakeReply, InventorySnapshot, ModelName};
use foreman_scheduler::{SchedulerConfig, Scope};
use foreman_store::QueueStore as _;
use http::StatusCode;

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn forty_jobs_of_two_models_cost_one_swap() {
    let rig = Rig::start().await;
    let gate = hold_first(&rig.fake);
    let mut tickets = Vec::new();
    for n in 0..40 {
        let model = if n % 2 == 0 { "a" } else { "b" };
        tickets.push(rig.submit(chat(model, &format!("{model}{n}"))).await);
    }

    gate.notify_one();
    for ticket in tickets {
        text(ticket).await;
    }

    let expected: Vec<String> = (0..40)
        .step_by(2)
        .map(|n| format!("a{n}"))
        .chain((1..40).step_by(2).map(|n| format!("b{n}")))
        .collect();
    assert_eq!(rig.prompts(), expected);
    assert_eq!(rig.handle.status().swaps, 2, "the first load and one swap");
    assert_eq!(
        rig.handle.status().swaps_avoided,
        19,
        "each other job of the first"
    );
}

#[tokio::test(start_paused = true)]
async fn everyone_gets_their_own_answer_and_chats_never_overlap() {
    let rig = Rig::start().await;
    rig.fake.on("/api/chat", |request| {
        echo(request).after(Duration::from_millis(100))
    });
    let mut tickets = BTreeMap::new();
    for n in 0..20 {
        let prompt = format!("prompt {n}");
        tickets.insert(prompt.clone(), rig.submit(chat("a", &prompt)).await);
    }

    for (prompt, ticket) in tickets {
        assert!(text(ticket).await.contains(&format!("\"{prompt}\"")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_past_the_age_bound_goes_before_the_resident_model() {
    let config = SchedulerConfig {
        max_wait: Duration::from_mins(1),
        ..config()
    };
    let rig = Rig::with(FakeOllama::new(), config).await;
    let gate = hold_first(&rig.fake);
    let mut tickets = vec![rig.submit(chat("a", "a0")).await];
    tickets.push(rig.submit(chat("b", "b0")).await);
    tokio::time::sleep(Duration::from_secs(61)).await;
    tickets.push(rig.submit(chat("a", "a1")).await);

    gate.notify_one();
    for ticket in tickets {
        text(ticket).await;
    }

    assert_eq!(rig.prompts(), ["a0", "b0", "a1"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_in_the_queue_expires_when_its_caller_said_so() {
    let rig = Rig::start().await;
    let gate = hold_first(&rig.fake);
    let first = rig.submit(chat("a", "a0")).await;
    let mut hurried = chat("a", "a1");
    hurried.expires_in = Some(Duration::from_secs(10));

    let ticket = rig.submit(hurried).await;
    let id = ticket.id();
    let foreman_scheduler::First::Ended { ending, .. } = ticket.first().await else {
        panic!("it was answered");
    };

    assert_eq!(ending.failure().unwrap().kind.code(), "expired");
    assert_eq!(
        rig.store
            .job(id)
            .await
            .unwrap()
            .unwrap()
            .progress
            .epoch
            .get(),
        0
    );
    gate.notify_one();
    text(first).await;
}

#[tokio::test(start_paused = true)]
async fn while_all_jobs_of_the_resident_model_are_in_back_off_others_run_and_nothing_spins() {
    let rig = Rig::start().await;
    text(rig.submit(chat("a", "a")).await).await;
    let crash = r#"{"error":"llama runner process has terminated"}"#;
    for _ in 0..2 {
        let reply = FakeReply::json(StatusCode::INTERNAL_SERVER_ERROR, crash);
        rig.fake.queue("/api/chat", reply);
    }
    let mut tickets = Vec::new();
    for (model, prompt) in [("a", "a0"), ("a", "a1"), ("b", "b0"), ("b", "b1")] {
        tickets.push(rig.submit(chat(model, prompt)).await);
    }

    for ticket in tickets {
        text(ticket).await;
    }

    // A loop that spins would not let the paused clock reach the end of the back-off.
    let prompts = rig.prompts();
    assert_eq!(prompts[..5], ["a", "a0", "a1", "b0", "b1"]);
    let mut again = prompts[5..].to_vec();
    again.sort_unstable();
    assert_eq!(again, ["a0", "a1"]);
}

#[tokio::test(start_paused = true)]
async fn jobs_of_a_paused_model_go_in_their_order_once_it_is_resumed() {
    let rig = Rig::start().await;
    let model = ModelName::parse("a").unwrap();
    let nothing = InventorySnapshot::empty(jiff::Timestamp::UNIX_EPOCH);
    rig.handle
        .pause(Scope::Model(&model), &nothing)
        .await
        .unwrap();
    let mut waiting = Vec::new();
    for (model, prompt) in [
        ("a", "a0"),
        ("b", "b0"),
        ("a", "a1"),
        ("b", "b1"),
        ("a", "a2"),
    ] {
        waiting.push(rig.submit(chat(model, prompt)).await);
    }
    settle_down().await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let before = rig.prompts();

    rig.handle.resume(Scope::Model(&model)).await.unwrap();
    for ticket in waiting {
        text(ticket).await;
    }

    assert_eq!(before, ["b0", "b1"]);
    assert_eq!(rig.prompts(), ["b0", "b1", "a0", "a1", "a2"]);
}
