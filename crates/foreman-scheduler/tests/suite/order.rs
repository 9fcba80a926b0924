//! What runs next.

use std::collections::BTreeMap;
use std::time::Duration;

use foreman_ollama::FakeOllama;
use foreman_scheduler::SchedulerConfig;
use foreman_store::QueueStore as _;

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
