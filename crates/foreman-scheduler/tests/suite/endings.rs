//! Cancelling on request.

use foreman_job::JobState;
use foreman_ollama::FakeReply;
use foreman_scheduler::{Ending, First};
use foreman_store::Withdrawal;

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_ends_for_its_caller_and_at_the_target() {
    let rig = Rig::start().await;
    rig.fake.queue("/api/chat", FakeReply::ndjson(&[]).hang());
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();
    settle_down().await;

    let withdrawal = rig.handle.cancel(id).await.unwrap();
    let First::Ended { ending, .. } = ticket.first().await else {
        panic!("it was answered");
    };

    assert!(matches!(withdrawal, Withdrawal::Requested(_)));
    assert_eq!(ending, Ending::Cancelled);
    assert_eq!(rig.fake.dropped(), 1);
    assert_eq!(rig.job(id).await.progress.state, JobState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_comes_too_late_tells_so() {
    let rig = Rig::start().await;
    rig.fake.on("/api/chat", echo);
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();
    text(ticket).await;

    let withdrawal = rig.handle.cancel(id).await.unwrap();

    assert!(matches!(withdrawal, Withdrawal::Final(job) if job.progress.state == JobState::Done));
}
