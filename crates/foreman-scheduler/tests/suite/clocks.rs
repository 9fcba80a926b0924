//! Time that passes while the machine sleeps.

use std::time::Duration;

use foreman_job::{Clock, FailureKind, JobState};
use foreman_scheduler::First;

use crate::rig::*;

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test(start_paused = true)]
async fn a_sleep_of_the_machine_ends_what_expired_meanwhile_and_nothing_that_runs() {
    let rig = Rig::start().await;
    let gate = hold_first(&rig.fake);
    let running = rig.submit(chat("a", "running")).await;
    settle_down().await;
    let mut hurried = chat("a", "hurried");
    hurried.expires_in = Some(HOUR / 2);
    let hurried = rig.submit(hurried).await;
    let mut patient = chat("a", "patient");
    patient.expires_in = Some(HOUR * 2);
    let patient = rig.submit(patient).await;
    let ids = [running.id(), patient.id()];

    rig.clock.jump(HOUR);

    let First::Ended { ending, .. } = hurried.first().await else {
        panic!("it was answered");
    };
    assert_eq!(ending.failure().unwrap().kind, FailureKind::Expired);
    assert!(rig.job(ids[0]).await.progress.state.is_running());
    gate.notify_one();
    text(running).await;
    text(patient).await;
    for id in ids {
        let job = rig.job(id).await;
        assert_eq!(job.progress.state, JobState::Done);
        assert_eq!((job.progress.attempt, job.progress.crashes), (0, 0));
    }
    assert_eq!(rig.prompts(), ["running", "patient"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_rests_is_due_after_a_sleep_of_the_machine() {
    let rig = Rig::start().await;
    rig.fake.on("/api/chat", echo);
    let mut later = chat("a", "later");
    later.not_before = Some(rig.clock.now().saturating_add(HOUR));
    let later = rig.submit(later).await;
    let id = later.id();
    settle_down().await;
    assert!(rig.job(id).await.progress.retry_at.is_some());

    rig.clock.jump(HOUR);

    text(later).await;
    assert_eq!(rig.job(id).await.progress.state, JobState::Done);
}
