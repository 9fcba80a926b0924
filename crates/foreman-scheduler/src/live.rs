//! The jobs that somebody waits for, or that run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foreman_job::{JobId, JobState};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::spool::{Ending, Spool};

/// A job as this process knows it beyond what the store knows: who waits, and the output so far.
#[derive(Debug)]
pub(crate) struct LiveJob {
    pub(crate) id: JobId,
    pub(crate) spool: Spool,
    /// Set when the run must stop: somebody asked to cancel it, or its caller left.
    pub(crate) cancel: CancellationToken,
    /// Callers attached now.
    attached: AtomicU32,
    /// Whether the job is finished although its caller leaves.
    kept: AtomicBool,
    /// Whether the first byte of the present attempt is noted in the store.
    working: AtomicBool,
}

/// What happens to a job whose last caller leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenCallerLeaves {
    /// It is cancelled: nobody wants the answer.
    Cancel,
    /// It is finished, so that the answer can be fetched later.
    Finish,
}

/// The live jobs by id.
///
/// A job is in here from before its acceptance until it is terminal. Readers hold the job itself,
/// so they can read on after it left.
#[derive(Debug, Clone)]
pub(crate) struct LiveJobs {
    jobs: Arc<Mutex<BTreeMap<JobId, Arc<LiveJob>>>>,
    /// Unbounded, since it is written from `drop`; each live job is in it at most once per caller.
    leaving: mpsc::UnboundedSender<JobId>,
}

impl LiveJob {
    fn new(id: JobId, when_caller_leaves: WhenCallerLeaves) -> Self {
        Self {
            id,
            spool: Spool::default(),
            cancel: CancellationToken::new(),
            attached: AtomicU32::new(0),
            kept: AtomicBool::new(when_caller_leaves == WhenCallerLeaves::Finish),
            working: AtomicBool::new(false),
        }
    }

    /// Tells whether a caller is attached.
    pub(crate) fn has_caller(&self) -> bool {
        self.attached.load(Ordering::Acquire) > 0
    }

    /// Makes the job survive the leaving of its callers.
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Release);
    }

    /// Notes that the store has the job as `working`.
    pub(crate) fn set_working(&self) {
        self.working.store(true, Ordering::Release);
    }

    /// Returns the state of the running job in the store, and forgets it for the next attempt.
    pub(crate) fn take_state(&self) -> JobState {
        if self.working.swap(false, Ordering::AcqRel) {
            JobState::Working
        } else {
            JobState::Loading
        }
    }

    fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire)
    }
}

impl LiveJobs {
    /// Makes an empty set; ids of jobs whose last caller left arrive at the receiver.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<JobId>) {
        let (leaving, left) = mpsc::unbounded_channel();
        let jobs = Arc::default();
        (Self { jobs, leaving }, left)
    }

    /// Adds a job that is about to be accepted, with its first caller.
    pub(crate) fn enter(&self, id: JobId, when_caller_leaves: WhenCallerLeaves) -> Attachment {
        let job = Arc::new(LiveJob::new(id, when_caller_leaves));
        self.lock().insert(id, Arc::clone(&job));
        Attachment::new(job, self.leaving.clone())
    }

    /// Attaches one more caller to a job, if it is live.
    pub(crate) fn attach(&self, id: JobId) -> Option<Attachment> {
        let job = self.lock().get(&id).map(Arc::clone)?;
        Some(Attachment::new(job, self.leaving.clone()))
    }

    /// Returns the job for its run; one that nobody waits for is added.
    pub(crate) fn for_run(&self, id: JobId) -> Arc<LiveJob> {
        Arc::clone(
            self.lock()
                .entry(id)
                .or_insert_with(|| Arc::new(LiveJob::new(id, WhenCallerLeaves::Finish))),
        )
    }

    /// Returns the job, if it is live.
    pub(crate) fn get(&self, id: JobId) -> Option<Arc<LiveJob>> {
        self.lock().get(&id).map(Arc::clone)
    }

    /// Takes out a job that is terminal, or never was accepted.
    pub(crate) fn remove(&self, id: JobId) -> Option<Arc<LiveJob>> {
        self.lock().remove(&id)
    }

    /// Tells the callers of all jobs but the running one that foreman shuts down; the jobs stay
    /// queued.
    pub(crate) fn shut_down(&self, running: Option<JobId>) {
        for job in self.lock().values() {
            if Some(job.id) != running {
                job.keep();
                job.spool.end(None, Ending::ShuttingDown, 0);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Arc<LiveJob>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller's hold on a job: dropped, it tells that the caller has left.
pub(crate) struct Attachment {
    job: Arc<LiveJob>,
    leaving: mpsc::UnboundedSender<JobId>,
    finished: bool,
}

impl Attachment {
    fn new(job: Arc<LiveJob>, leaving: mpsc::UnboundedSender<JobId>) -> Self {
        job.attached.fetch_add(1, Ordering::AcqRel);
        Self {
            job,
            leaving,
            finished: false,
        }
    }

    pub(crate) fn job(&self) -> &LiveJob {
        &self.job
    }

    /// Notes that the caller has everything: leaving means nothing any more.
    pub(crate) const fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let was_last = self.job.attached.fetch_sub(1, Ordering::AcqRel) == 1;
        if was_last && !self.finished && !self.job.is_kept() {
            // The receiver is gone only when the scheduler has ended: then nothing runs any more.
            let _unheard = self.leaving.send(self.job.id);
        }
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("job", &self.job.id)
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}
