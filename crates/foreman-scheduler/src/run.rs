//! Runs one claimed job: dispatches it, watches over it, and hands its end to the settlement.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use foreman_job::{FailureKind, JobFailure, JobState, RunnerKey};
use foreman_ollama::{KeepAlive, RequestHead};
use foreman_store::Claimed;
use futures_util::FutureExt;
use tokio::sync::SetOnce;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::attempt::{Attempt, Dispatch};
use crate::early::Early;
use crate::live::LiveJob;
use crate::transition;
use crate::worker::Worker;

/// How often the target is asked whether an abandoned load has ended.
const LOAD_POLL: Duration = Duration::from_millis(250);

impl Worker {
    /// Runs an attempt to its end, whatever ends it.
    pub(crate) async fn attempt(&self, run: Run<'_>, early: Option<Box<Early>>) -> Attempt {
        let Run {
            claimed,
            live,
            head,
            swap,
            told,
        } = run;
        let started = CancellationToken::new();
        let dispatch = Dispatch {
            client: self.client.as_ref(),
            deadlines: self.deadlines(),
            keep_alive: self.keep_alive_of(&claimed.job.runner),
            max_output: self.config.max_output,
            claimed,
            head,
            live,
            told,
            started: &started,
        };
        // Boxed, like all that is long and not all of it: several small blocks are quicker to get
        // than one large one.
        let run = AssertUnwindSafe(Box::pin(dispatch.run(early))).catch_unwind();
        let watched = tokio::time::timeout(self.config.max_run, run);
        let noting = self.note_start(told, live, &started);
        let logging = self.keep_log(told, live);
        tokio::select! {
            biased; // An answer that is there counts before a wish to stop it.
            end = watched => match end {
                Ok(Ok(attempt)) => attempt,
                Ok(Err(_)) => panicked(claimed),
                Err(_) => Attempt::failed(JobFailure::new(
                    FailureKind::RunTimeout,
                    format!("the run took longer than {} s", self.config.max_run.as_secs()),
                )),
            },
            () = self.force.cancelled() => Attempt::Released,
            () = self.wish_to_stop(claimed, live, swap, &started) => Attempt::Aborted,
            never = noting => match never {},
            never = logging => never,
        }
    }

    pub(crate) fn keep_alive_of(&self, runner: &RunnerKey) -> &KeepAlive {
        if self.shared.pins(runner) {
            &KeepAlive::Forever
        } else {
            &self.config.keep_alive
        }
    }

    /// Notes the first byte in the store, beside the stream and not in its way.
    async fn note_start(
        &self,
        told: &SetOnce<Claimed>,
        live: &LiveJob,
        started: &CancellationToken,
    ) -> Infallible {
        started.cancelled().await;
        let claimed = told.wait().await;
        // The byte first: the callers it has woken run before the store's thread is, which the kernel
        // may put in their place.
        tokio::task::yield_now().await;
        Box::pin(self.has_started(claimed, live)).await;
        std::future::pending().await
    }

    async fn has_started(&self, claimed: &Claimed, live: &LiveJob) {
        let mut job = claimed.job.clone();
        let epoch = job.progress.epoch;
        let now = self.shared.clock.now();
        match self.shared.store.start(job.seq, epoch, now).await {
            Ok(()) => {
                live.set_working();
                job.progress.state = JobState::Working;
                job.started_at = Some(now);
                transition::publish(&self.shared, &job, JobState::Loading, "first byte came");
                self.show_running(&job);
            }
            // The settlement meets the same trouble, and there it counts.
            Err(error) => warn!(job = %job.id, %error, "cannot note that the answer began"),
        }
    }

    /// Waits until the run should stop because nobody wants its answer.
    ///
    /// A load that others wait for is not thrown away: the target would begin it again for them.
    async fn wish_to_stop(
        &self,
        claimed: &Claimed,
        live: &LiveJob,
        swap: Swap,
        started: &CancellationToken,
    ) {
        live.cancel.cancelled().await;
        if swap == Swap::Load {
            Box::pin(self.end_of_load(claimed, started)).await;
        }
    }

    /// Waits for the end of a load that others wait for.
    async fn end_of_load(&self, claimed: &Claimed, started: &CancellationToken) {
        if !self.is_awaited(claimed).await {
            return;
        }
        while !started.is_cancelled() && !self.is_loaded(claimed).await {
            tokio::select! {
                () = started.cancelled() => {}
                () = tokio::time::sleep(LOAD_POLL) => {}
            }
        }
    }

    async fn is_awaited(&self, claimed: &Claimed) -> bool {
        let runner = &claimed.job.runner;
        self.shared
            .store
            .has_ready(runner)
            .await
            .unwrap_or_default()
    }

    async fn is_loaded(&self, claimed: &Claimed) -> bool {
        let Ok(loaded) = self.client.ps().await else {
            return false;
        };
        let inventory = self.inventory.snapshot();
        loaded.iter().any(|model| {
            let weights = crate::residency::weights_of(model, &inventory);
            weights == claimed.job.runner.weights()
        })
    }
}

/// A claimed job with what is known about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) claimed: &'a Claimed,
    pub(crate) live: &'a LiveJob,
    /// What scheduling needs of the request; none when it cannot be read any more.
    pub(crate) head: Option<&'a RequestHead>,
    pub(crate) swap: Swap,
    /// What the store says of its claim, once it has.
    pub(crate) told: &'a SetOnce<Claimed>,
}

/// Whether the target must load a model for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Swap {
    /// Its runner is resident.
    None,
    /// Its runner is to be loaded.
    Load,
}

fn panicked(claimed: &Claimed) -> Attempt {
    // The payload may quote what the code worked on; the hook has printed the place.
    error!(job = %claimed.job.id, "the run panicked");
    Attempt::failed(JobFailure::new(
        FailureKind::Panic,
        "foreman failed while running the job",
    ))
}
