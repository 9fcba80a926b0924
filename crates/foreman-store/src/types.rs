//! What goes into the store and what comes out of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use foreman_job::lifecycle::{Epoch, Progress};
use foreman_job::{
    Choice, Endpoint, HeadJob, Job, JobFailure, JobId, JobState, PickReason, Priority, QueueHeads,
    RunnerKey, Timestamp, Usage,
};

use crate::{Depth, RunLog, StoreError};

/// Header names and values in the order they came.
pub type Headers = Arc<[(String, String)]>;

/// The policy: looks at the heads of the ready queue and names the job to claim, or none.
///
/// It runs within the transaction of the claim, so what it chooses is still there.
pub type Choose = Arc<dyn Fn(&QueueHeads) -> Option<Choice> + Send + Sync>;

/// Tells how much a caller has used the target lately, in whatever unit; never less than nothing.
pub type Used = Arc<dyn Fn(Option<&str>) -> f64 + Send + Sync>;

/// A request to be made durable as a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Public name; must be fresh.
    pub id: JobId,
    /// The route it came in by.
    pub endpoint: Endpoint,
    /// The model as the caller spelled it.
    pub model: String,
    /// The runner it needs.
    pub runner: RunnerKey,
    /// Class.
    pub priority: Priority,
    /// Name of the caller's token.
    pub caller: Option<String>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// It is not started earlier than this.
    pub not_before: Option<Timestamp>,
    /// It is not started later than this.
    pub expires_at: Option<Timestamp>,
    /// What is sent to the target.
    pub request: StoredRequest,
    /// The key under which a repetition finds this job.
    pub idempotency: Option<IdempotencyKey>,
    /// It is accepted only while fewer jobs than this wait; none: always.
    pub max_queue: Option<u64>,
    /// The job of which this one is a repetition.
    pub retry_of: Option<JobId>,
    /// What its caller wants to remember with it: the text of a JSON object.
    pub metadata: Option<String>,
}

/// A request as it is kept and dispatched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredRequest {
    /// The headers that are forwarded; never credentials.
    pub headers: Headers,
    /// The body as it came.
    pub body: Bytes,
}

/// A key that a caller chose so that a repeated request makes no second job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// Caller and path: the same key of another scope is another key.
    pub scope: String,
    /// The key.
    pub key: String,
    /// A digest of the body: another body under the same key is refused.
    pub request_hash: [u8; 32],
}

/// What became of an accepted request.
#[derive(Debug, Clone, PartialEq)]
pub enum Accepted {
    /// A new job, with its place in the queue.
    New {
        /// Place in the queue.
        seq: i64,
    },
    /// The job that the same idempotency key made before.
    Existing(Box<Job>),
}

/// A wish to claim the next job for a slot.
#[derive(Clone)]
pub struct ClaimRequest {
    /// The slot; at most one job runs in it.
    pub slot: u32,
    /// The runners that are loaded now, in the order of preference.
    pub resident: Vec<RunnerKey>,
    /// The weights of runners that are paused: their jobs are not looked at.
    pub paused: Vec<String>,
    /// Jobs that were accepted then or earlier are past the age bound.
    pub aged_before: Option<Timestamp>,
    /// What each caller has used.
    pub used: Used,
    /// The time to note.
    pub now: Timestamp,
    /// The policy.
    pub choose: Choose,
    /// What the policy chose when it was asked to [foresee](crate::QueueStore::foresee): this job is
    /// claimed, if it still waits and is ready, and else none; the policy is not asked again.
    pub foreseen: Option<Choice>,
    /// Whether its run has begun already, and nobody can be shown anything before it ends: then the
    /// claim may wait until others are written, too, and is best written with the end of the run.
    pub is_begun: bool,
}

/// What a claim will probably take.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreseen {
    /// The choice of the policy, which belongs into the [wish](ClaimRequest::foreseen).
    pub choice: Choice,
    /// What the claim will answer, but for the time, which may be later; where the job has never
    /// been claimed and its request is at hand.
    ///
    /// It may still come to nothing: before the claim is answered nobody may be told anything that
    /// comes of it.
    pub claimed: Option<Claimed>,
}

impl ClaimRequest {
    /// Tells whether a runner is paused.
    pub fn is_paused(&self, runner: &RunnerKey) -> bool {
        self.paused
            .iter()
            .any(|weights| weights == runner.weights())
    }
}

impl fmt::Debug for ClaimRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimRequest")
            .field("slot", &self.slot)
            .field("resident", &self.resident)
            .field("paused", &self.paused)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// A claimed job.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The job, already `loading` and with its new epoch.
    pub job: Job,
    /// Why it was chosen.
    pub reason: PickReason,
    /// What to send; none when it cannot be read any more: then the job is to be failed.
    pub request: Option<StoredRequest>,
    /// The number of the first event that this run adds to the job's log.
    pub next_event: u64,
}

/// Jobs counted by who asked for them.
pub type ByCaller = Vec<(Option<String>, u64)>;

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JobList {
    /// The jobs, the last accepted first.
    pub jobs: Vec<Job>,
    /// The place before which the search is to go on, where it has looked at as many jobs as it
    /// may at once; none where the limit or the end was reached.
    pub rest: Option<i64>,
}

/// Where a ready job stands among those of its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How many ready jobs of its class and runner are older, of each caller that has some.
    pub older: ByCaller,
    /// The oldest ready job of the class for each runner, the oldest first.
    pub runners: Vec<HeadJob>,
}

impl Standing {
    /// Returns how many of a caller's are older.
    pub fn older_of(&self, caller: Option<&str>) -> u64 {
        let of_caller = self.older.iter().find(|it| it.0.as_deref() == caller);
        of_caller.map_or(0, |(_, jobs)| *jobs)
    }
}

/// Where several jobs stand, all as of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standings {
    /// For each class that one of them is in, the oldest ready job for each runner, the oldest
    /// first.
    pub runners: BTreeMap<Priority, Arc<Vec<HeadJob>>>,
    /// For each of these runners its place in what [waits](Self::waiting).
    pub places: BTreeMap<Priority, Arc<Vec<usize>>>,
    /// For each of them how many ready jobs of its class and runner are older, of each caller that
    /// has some; none for those that are not ready.
    pub older: Vec<Option<ByCaller>>,
    /// For each of these classes and those before them how many jobs wait for each runner, those
    /// that rest included; in the order of the runners' keys.
    pub waiting: BTreeMap<Priority, Vec<(RunnerKey, u64)>>,
}

impl Standings {
    /// Finds the places of the runners again.
    pub(crate) fn place(&mut self) {
        self.places.clear();
        for (class, heads) in &self.runners {
            let waiting = self.waiting.get(class).map_or(&[][..], Vec::as_slice);
            // A runner with a ready job has jobs that wait.
            let places = heads.iter().filter_map(|head| {
                let place = waiting.binary_search_by(|(runner, _)| runner.cmp(&head.runner));
                place.ok()
            });
            self.places.insert(*class, Arc::new(places.collect()));
        }
    }

    /// Takes over how many jobs wait.
    pub(crate) fn count(&mut self, depths: &[Depth]) {
        let lowest = self.runners.keys().next_back().copied();
        for depth in depths.iter().filter(|it| Some(it.priority) <= lowest) {
            let of_class = self.waiting.entry(depth.priority).or_default();
            match of_class.last_mut() {
                // The groups of a runner follow one another.
                Some((runner, jobs)) if *runner == depth.runner => {
                    *jobs = jobs.saturating_add(depth.jobs);
                }
                _ => of_class.push((depth.runner.clone(), depth.jobs)),
            }
        }
        self.place();
    }
}

/// The end of a claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The job.
    pub id: JobId,
    /// Its place; none where the run ended before the claim was answered and told it.
    pub seq: Option<i64>,
    /// The run that reports; an older one than the job's is refused.
    pub epoch: Epoch,
    /// The time to note.
    pub now: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// The events of the run, where it is the last one of its job; what is logged already is
    /// passed over. None: nothing is kept of the answer but its head.
    pub log: Option<RunLog>,
}

/// How a claim ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The answer is complete.
    Done {
        /// What is kept of it besides the log.
        answer: Answered,
    },
    /// The attempt failed and the job with it.
    Failed {
        /// What went wrong.
        failure: JobFailure,
        /// Whether the attempt counts.
        spends_attempt: bool,
        /// What the target had answered.
        answer: Option<Answered>,
    },
    /// The attempt failed and is repeated.
    Retry {
        /// What went wrong.
        failure: JobFailure,
        /// Whether the attempt counts.
        spends_attempt: bool,
        /// When the job may be claimed again; none: at once.
        retry_at: Option<Timestamp>,
    },
    /// The run was stopped because somebody asked to, or the caller left.
    Cancelled,
    /// Foreman shuts down before the run could end.
    Released,
}

/// Status and headers of the target's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerHead {
    /// The status.
    pub status: u16,
    /// The headers, without those of the connection.
    pub headers: Headers,
}

/// The target's answer without its body, which is in the job's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// Status and headers.
    pub head: AnswerHead,
    /// What the target reported about its work.
    pub usage: Option<Usage>,
}

/// The target's answer as it was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAnswer {
    /// Status and headers.
    pub head: AnswerHead,
    /// The body, chunk by chunk as the target sent it; empty when bodies are not kept.
    pub chunks: Vec<Bytes>,
    /// What the target reported about its work.
    pub usage: Option<Usage>,
}

/// What came of a wish to cancel.
#[derive(Debug, Clone, PartialEq)]
pub enum Withdrawal {
    /// It was queued and is cancelled now: it never reaches the target.
    Cancelled(Box<Job>),
    /// It runs; the wish is noted and whoever runs it must stop.
    Requested(Box<Job>),
    /// It had ended before.
    Final(Box<Job>),
    /// There is no such job.
    Unknown,
}

/// What the passing of time did to the queue.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Due {
    /// Jobs whose rest after a failure is over: ready now.
    pub promoted: u64,
    /// Jobs that expired before they were started: failed now.
    pub expired: Vec<Job>,
    /// When something becomes due next.
    pub next: Option<Timestamp>,
}

/// What the last life of foreman left behind, and what became of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recovery {
    /// Every job that was found running, after its recovery, with the state it was found in.
    pub jobs: Vec<(JobState, Job)>,
    /// Jobs that wait in the queue now, the recovered ones included.
    pub queued: u64,
}

/// Which ended jobs to purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purge {
    /// Requests and answers of jobs that ended before this are forgotten.
    pub bodies_before: Timestamp,
    /// Jobs that ended before this are forgotten altogether.
    pub jobs_before: Timestamp,
    /// At most so many rows in one transaction.
    pub limit: u32,
}

/// What a purge removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Jobs whose bodies went.
    pub bodies: u64,
    /// Jobs that went.
    pub jobs: u64,
}

/// How many jobs are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueCounts {
    /// Waiting, those in back-off included.
    pub queued: u64,
    /// Claimed, no byte of the answer yet.
    pub loading: u64,
    /// Being answered.
    pub working: u64,
    /// Answered, and not purged yet.
    pub done: u64,
    /// Failed, and not purged yet.
    pub failed: u64,
    /// Cancelled, and not purged yet.
    pub cancelled: u64,
}

/// Whether the store can do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreHealth {
    /// It can.
    Ok,
    /// The disk is nearly full: running jobs finish, new ones are refused.
    IntakeClosed {
        /// What to do about it.
        reason: String,
    },
    /// It does not know what is on disk any more: nothing is written until foreman is restarted.
    Failed {
        /// What happened.
        reason: String,
    },
}

impl Outcome {
    /// Returns what is kept of the answer besides the log.
    pub const fn answer(&self) -> Option<&Answered> {
        match self {
            Self::Done { answer } => Some(answer),
            Self::Failed { answer, .. } => answer.as_ref(),
            Self::Retry { .. } | Self::Cancelled | Self::Released => None,
        }
    }
}

impl QueueCounts {
    /// Returns the count of one state.
    pub const fn of(&self, state: JobState) -> u64 {
        match state {
            JobState::Queued => self.queued,
            JobState::Loading => self.loading,
            JobState::Working => self.working,
            JobState::Done => self.done,
            JobState::Failed => self.failed,
            JobState::Cancelled => self.cancelled,
        }
    }

    /// Returns the count of one state, to be changed.
    pub const fn of_mut(&mut self, state: JobState) -> &mut u64 {
        match state {
            JobState::Queued => &mut self.queued,
            JobState::Loading => &mut self.loading,
            JobState::Working => &mut self.working,
            JobState::Done => &mut self.done,
            JobState::Failed => &mut self.failed,
            JobState::Cancelled => &mut self.cancelled,
        }
    }
}

impl NewJob {
    /// Refuses the job while as many wait as may.
    pub(crate) const fn check_room(&self, waiting: u64) -> Result<(), StoreError> {
        match self.max_queue {
            Some(max) if waiting >= max => Err(StoreError::QueueFull { waiting }),
            _ => Ok(()),
        }
    }

    /// Until when it is kept out of the ready queue.
    pub(crate) fn rests_until(&self) -> Option<Timestamp> {
        self.not_before.filter(|at| *at > self.created_at)
    }

    /// Returns the job it becomes at a place in the queue.
    pub fn to_job(&self, seq: i64) -> Job {
        Job {
            seq,
            id: self.id,
            endpoint: self.endpoint,
            model: self.model.clone(),
            runner: self.runner.clone(),
            priority: self.priority,
            caller: self.caller.clone(),
            progress: Progress {
                retry_at: self.rests_until(),
                ..Progress::accepted()
            },
            created_at: self.created_at,
            claimed_at: None,
            started_at: None,
            finished_at: None,
            not_before: self.not_before,
            expires_at: self.expires_at,
            failure: None,
            target_status: None,
            usage: None,
            retry_of: self.retry_of,
            metadata: self.metadata.clone(),
        }
    }
}
