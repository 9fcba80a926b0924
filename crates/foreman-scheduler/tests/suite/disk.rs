//! What goes on while the disk writes, and what nobody learns before it has.

use foreman_job::JobState;
use foreman_ollama::FakeReply;

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn a_job_runs_before_its_acceptance_is_durable_and_nobody_learns_of_it() {
    let rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN, DONE]));
    rig.store.disk.forget_permits(usize::MAX);
    let mut told = rig.handle.transitions();
    let answer = async { text(rig.submit(chat("a", "hi")).await).await };
    let mut answer = Box::pin(answer);

    tokio::select! {
        _ = &mut answer => panic!("answered before anything was durable"),
        () = rig.until_done(1) => {}
    }
    assert_eq!(rig.prompts(), ["hi"]);
    assert!(told.try_recv().is_err());

    rig.store.disk.add_permits(2);
    assert_eq!(answer.await, format!("{TOKEN}\n{DONE}\n"));
    let mut states = Vec::new();
    while let Ok(transition) = told.try_recv() {
        states.push((transition.from, transition.job.progress.state));
    }
    assert_eq!(states.first(), Some(&(None, JobState::Queued)));
    assert_eq!(states.get(1).map(|it| it.1), Some(JobState::Loading));
    assert_eq!(states.last().map(|it| it.1), Some(JobState::Done));
}

#[tokio::test(start_paused = true)]
async fn the_next_job_runs_while_the_end_of_the_last_is_made_durable() {
    let rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN, DONE]));
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN, DONE]));
    let first = rig.submit(chat("a", "one")).await;
    rig.store.disk.forget_permits(usize::MAX);
    let id = first.id();
    let mut first = Box::pin(text(first));
    rig.store.disk.add_permits(1);
    let second = rig.submit(chat("a", "two")).await;

    tokio::select! {
        _ = &mut first => panic!("the end was told before it was durable"),
        () = rig.until_done(2) => {}
    }
    assert_eq!(rig.job(id).await.progress.state, JobState::Done);

    rig.store.disk.add_permits(2);
    assert_eq!(first.await, format!("{TOKEN}\n{DONE}\n"));
    assert_eq!(text(second).await, format!("{TOKEN}\n{DONE}\n"));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_an_end_that_is_on_its_way_to_the_disk_be_told() {
    let mut rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN, DONE]));
    let ticket = rig.submit(chat("a", "one")).await;
    rig.store.disk.forget_permits(usize::MAX);
    let mut answer = Box::pin(text(ticket));
    tokio::select! {
        _ = &mut answer => panic!("the end was told before it was durable"),
        () = rig.until_done(1) => {}
    }

    rig.shutdown.drain.cancel();
    settle_down().await;
    assert!(rig.scheduler.try_join_next().is_none());
    rig.store.disk.add_permits(1);

    assert_eq!(answer.await, format!("{TOKEN}\n{DONE}\n"));
    rig.scheduler.join_next().await.unwrap().unwrap().unwrap();
}
