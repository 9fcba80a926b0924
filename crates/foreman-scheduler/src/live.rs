//! The jobs that somebody waits for, or that run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use foreman_job::{Job, JobId, JobState};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::resend::{RequestKey, Resends};
use crate::spool::{Ending, Spool};
use crate::transition::Untold;

/// A job as this process knows it beyond what the store knows: who waits, and the output so far.
#[derive(Debug)]
pub(crate) struct LiveJob {
    pub(crate) id: JobId,
    caller: Option<Arc<str>>,
    /// By what a resend finds it.
    resend: Option<Box<RequestKey>>,
    pub(crate) spool: Spool,
    /// Set when the run must stop: somebody asked to cancel it, or its caller left.
    /// Made when it is asked for, since most jobs only wait.
    pub(crate) cancel: LazyLock<CancellationToken>,
    /// Callers attached now.
    attached: AtomicU32,
    /// Whether the job is finished although its caller leaves.
    kept: AtomicBool,
    /// Whether the first byte of the present attempt is noted in the store.
    working: AtomicBool,
    /// How many events of the present run are durable.
    logged: AtomicUsize,
    /// Whether its outcome is decided and is made durable.
    settling: AtomicBool,
    /// Whether it was claimed since it became live.
    claimed: AtomicBool,
    untold: Untold,
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
    state: Arc<Mutex<State>>,
    /// Unbounded, since it is written from `drop`; each live job is in it at most once per caller.
    leaving: mpsc::UnboundedSender<JobId>,
}

#[derive(Debug, Default)]
struct State {
    jobs: BTreeMap<JobId, Arc<LiveJob>>,
    /// Waiting jobs that nobody waits at and that have a caller, who may have so many only. Those of
    /// a million cost as little as can be.
    parked: BTreeMap<JobId, Arc<str>>,
    resends: Resends,
    /// How many of these jobs each caller has.
    callers: BTreeMap<Arc<str>, u64>,
}

/// A job that is about to be live.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: JobId,
    pub(crate) caller: Option<Arc<str>>,
    pub(crate) resend: Option<Box<RequestKey>>,
    pub(crate) when_caller_leaves: WhenCallerLeaves,
    /// Whether its acceptance is durable.
    pub(crate) accepted: bool,
}

/// As many jobs of one caller wait as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallerFull {
    pub(crate) waiting: u64,
}

impl Entry {
    /// A job that was accepted before, whose caller waits no more.
    fn of(job: &Job) -> Self {
        Self {
            id: job.id,
            caller: job.caller.as_deref().map(Arc::from),
            resend: None,
            when_caller_leaves: WhenCallerLeaves::Finish,
            accepted: true,
        }
    }
}

impl LiveJob {
    fn new(entry: Entry) -> Self {
        let Entry {
            id,
            caller,
            resend,
            when_caller_leaves,
            accepted,
        } = entry;
        Self {
            id,
            caller,
            resend,
            spool: if accepted {
                Spool::default()
            } else {
                Spool::sealed()
            },
            cancel: LazyLock::new(CancellationToken::new),
            attached: AtomicU32::new(0),
            kept: AtomicBool::new(when_caller_leaves == WhenCallerLeaves::Finish),
            working: AtomicBool::new(false),
            logged: AtomicUsize::new(0),
            settling: AtomicBool::new(false),
            claimed: AtomicBool::new(false),
            untold: Untold::new(accepted),
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

    /// Notes whether its outcome is decided: then its callers are about to see its end.
    pub(crate) fn set_settling(&self, settling: bool) {
        self.settling.store(settling, Ordering::Release);
    }

    fn is_settling(&self) -> bool {
        self.settling.load(Ordering::Acquire)
    }

    /// What happened to it and nobody was told yet.
    pub(crate) const fn untold(&self) -> &Untold {
        &self.untold
    }

    /// Notes that the store has the job as `working`.
    pub(crate) fn set_working(&self) {
        self.working.store(true, Ordering::Release);
        self.spool.touch();
    }

    /// Tells whether the present attempt is past loading, as far as its log says.
    pub(crate) fn is_working(&self) -> bool {
        self.working.load(Ordering::Acquire) || self.spool.count() > 0
    }

    /// Returns the state of the running job in the store, and forgets it for the next attempt.
    pub(crate) fn take_state(&self) -> JobState {
        if self.working.swap(false, Ordering::AcqRel) {
            JobState::Working
        } else {
            JobState::Loading
        }
    }

    /// Notes how many events of the run are durable.
    pub(crate) fn set_logged(&self, events: usize) {
        self.logged.store(events, Ordering::Release);
    }

    /// Returns how many events of the run are durable, and forgets it for the next attempt.
    pub(crate) fn take_logged(&self) -> usize {
        self.logged.swap(0, Ordering::AcqRel)
    }

    /// Tells whether its request may be sent again by itself.
    pub(crate) const fn is_resendable(&self) -> bool {
        self.resend.is_some()
    }

    /// Tells whether the job survives the leaving of its callers.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire)
    }
}

impl LiveJobs {
    /// Makes an empty set; ids of jobs whose last caller left arrive at the receiver.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<JobId>) {
        let (leaving, left) = mpsc::unbounded_channel();
        let state = Arc::default();
        (Self { state, leaving }, left)
    }

    /// Adds a job that is about to be accepted, with its first caller, unless its caller has as many
    /// waiting ones as it may; the running one does not count.
    pub(crate) fn enter(
        &self,
        entry: Entry,
        most: Option<u64>,
        running: Option<JobId>,
    ) -> Result<Attachment, CallerFull> {
        let mut state = self.lock();
        if let (Some(caller), Some(most)) = (&entry.caller, most) {
            let waiting = state.waiting(caller, running);
            if waiting >= most {
                return Err(CallerFull { waiting });
            }
        }
        let job = state.add(entry);
        drop(state);
        Ok(Attachment::new(job, self.leaving.clone()))
    }

    /// Attaches one more caller to a job; one that nobody waits for, since before the last restart,
    /// becomes live.
    pub(crate) fn join(&self, job: &Job) -> Attachment {
        let mut state = self.lock();
        let live = state.jobs.get(&job.id).map(Arc::clone);
        let live = live.unwrap_or_else(|| state.add(Entry::of(job)));
        drop(state);
        Attachment::new(live, self.leaving.clone())
    }

    /// Attaches the sender of a request that was sent before to the job of the first sending.
    ///
    /// A caller that is still there stays attached: it is not sure to be the same, where callers
    /// have no names.
    pub(crate) fn take_over(&self, key: &RequestKey) -> Option<Attachment> {
        let state = self.lock();
        let is_left = |id| state.jobs.get(&id).is_some_and(|job| !job.has_caller());
        let id = state.resends.find(key, is_left)?;
        let job = state.jobs.get(&id).map(Arc::clone)?;
        // Attached under the lock: nobody gives the job up in between.
        let attachment = Attachment::new(job, self.leaving.clone());
        drop(state);
        Some(attachment)
    }

    /// Decides that a job is given up, unless somebody wants it: no resend finds it any more.
    pub(crate) fn give_up(&self, id: JobId) -> bool {
        let mut state = self.lock();
        let Some(job) = state.jobs.get(&id).map(Arc::clone) else {
            return true;
        };
        if job.has_caller() || job.is_kept() {
            return false;
        }
        if let Some(key) = &job.resend {
            state.resends.remove(key, id);
        }
        true
    }

    /// Returns the job for its run; one that nobody waits for is added.
    pub(crate) fn for_run(&self, job: &Job) -> Arc<LiveJob> {
        let mut state = self.lock();
        let live = match state.jobs.get(&job.id) {
            Some(live) => Arc::clone(live),
            None => state.add(Entry::of(job)),
        };
        live.claimed.store(true, Ordering::Release);
        drop(state);
        live
    }

    /// The same for a job that may not be claimed: only if it is live.
    pub(crate) fn for_early_run(&self, id: JobId) -> Option<Arc<LiveJob>> {
        let state = self.lock();
        let live = state.jobs.get(&id).map(Arc::clone)?;
        live.claimed.store(true, Ordering::Release);
        drop(state);
        Some(live)
    }

    /// Keeps no more than must be known of an accepted job that nobody waits at, until it runs.
    pub(crate) fn let_go(&self, id: JobId) {
        self.lock().let_go(id);
    }

    /// Returns the job, if it is live.
    pub(crate) fn get(&self, id: JobId) -> Option<Arc<LiveJob>> {
        self.lock().jobs.get(&id).map(Arc::clone)
    }

    /// Takes out a job that is terminal, or never was accepted.
    pub(crate) fn remove(&self, id: JobId) -> Option<Arc<LiveJob>> {
        self.lock().remove(id)
    }

    /// Tells the callers of all jobs that foreman shuts down; the jobs stay queued. The running one
    /// and those whose end is made durable go on.
    pub(crate) fn shut_down(&self, running: Option<JobId>) {
        for job in self.lock().jobs.values() {
            if Some(job.id) != running && !job.is_settling() {
                job.keep();
                job.spool.end(None, Ending::ShuttingDown, 0);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, entry: Entry) -> Arc<LiveJob> {
        let job = Arc::new(LiveJob::new(entry));
        if let Some(key) = &job.resend {
            self.resends.add(RequestKey::clone(key), job.id);
        }
        if self.parked.remove(&job.id).is_none()
            && let Some(caller) = &job.caller
        {
            *self.callers.entry(Arc::clone(caller)).or_default() += 1;
        }
        // An id is fresh, or was looked for under the same lock.
        self.jobs.insert(job.id, Arc::clone(&job));
        job
    }

    fn let_go(&mut self, id: JobId) {
        let is_wanted = |job: &Arc<LiveJob>| {
            job.has_caller() || job.claimed.load(Ordering::Acquire) || job.is_resendable()
        };
        if self.jobs.get(&id).is_none_or(is_wanted) {
            return;
        }
        let caller = self.jobs.remove(&id).and_then(|job| job.caller.clone());
        // One text for all jobs of a caller.
        let known = caller.and_then(|caller| self.callers.get_key_value(&caller));
        if let Some((caller, _)) = known {
            self.parked.insert(id, Arc::clone(caller));
        }
    }

    fn remove(&mut self, id: JobId) -> Option<Arc<LiveJob>> {
        let Some(job) = self.jobs.remove(&id) else {
            if let Some(caller) = self.parked.remove(&id) {
                self.has_less(&caller);
            }
            return None;
        };
        if let Some(key) = &job.resend {
            self.resends.remove(key, id);
        }
        if let Some(caller) = &job.caller {
            self.has_less(caller);
        }
        Some(job)
    }

    fn has_less(&mut self, caller: &str) {
        if let Some(count) = self.callers.get_mut(caller) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.callers.remove(caller);
            }
        }
    }

    fn waiting(&self, caller: &str, running: Option<JobId>) -> u64 {
        let all = self.callers.get(caller).copied().unwrap_or_default();
        let runs = running
            .and_then(|id| self.jobs.get(&id))
            .is_some_and(|job| job.caller.as_deref() == Some(caller));
        all.saturating_sub(u64::from(runs))
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

    pub(crate) const fn job(&self) -> &Arc<LiveJob> {
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
