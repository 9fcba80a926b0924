//! The model and the database, done the same to.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use foreman_job::lifecycle::Epoch;
use foreman_job::{
    Choice, Endpoint, FailureKind, Job, JobFailure, JobId, JobState, PickReason, Priority,
    QueueHeads, Random, RunnerKey, Timestamp, Usage,
};
use foreman_store::faulty::Faulty;
use foreman_store::{
    AnswerHead, Answered, Choose, ClaimRequest, IdempotencyKey, JobFilter, LogEvent, MemoryStore,
    NewJob, Outcome, Purge, QueueStore, RunLog, Settlement, SqliteConfig, SqliteStore,
    StoredRequest, Synchronous,
};
use tempfile::TempDir;

use crate::invariants::Invariants;
use crate::op::{Call, Op};

pub(crate) const SLOTS: u32 = 2;

struct Numbered(u64);

impl Random for Numbered {
    fn next_u64(&self) -> u64 {
        self.0
    }
}

/// The model, the system, and the time that passes for both.
pub(crate) struct Pair {
    dir: TempDir,
    pub(crate) model: MemoryStore,
    system: Option<Faulty>,
    now: i64,
    pub(crate) accepted: Vec<JobId>,
    invariants: Invariants,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let dir = directory();
        let system = Some(open(&dir));
        Self {
            dir,
            model: MemoryStore::new(),
            system,
            now: 1_000_000,
            accepted: Vec::new(),
            invariants: Invariants::default(),
        }
    }

    pub(crate) fn system(&self) -> &Faulty {
        self.system.as_ref().unwrap()
    }

    pub(crate) fn at(&self, offset: i64) -> Timestamp {
        Timestamp::from_millis(self.now + offset)
    }

    pub(crate) async fn apply(&mut self, op: Op) {
        self.now += 3;
        match op {
            Op::Crash => self.die().await,
            Op::Fails { call, fault } => self.fails(call, fault).await,
            Op::Restart => {
                self.system().close().await.unwrap();
                self.reopen().await;
            }
            Op::Clock { by } => self.now += by,
            Op::Cut { call, written } => self.cut(call, written).await,
            Op::Call(call) => self.call(call).await,
        }
        self.step().await;
    }

    /// Leaves what a killed process leaves, and goes on from there.
    pub(crate) async fn die(&mut self) {
        self.dir = image(&self.dir);
        self.reopen().await;
    }

    /// Does something of which nobody hears: the process dies before its commit, or after it.
    async fn cut(&mut self, call: Call, written: u16) {
        if written == 256 {
            self.call(call).await;
            self.dir = image(&self.dir);
        } else {
            let before = image(&self.dir);
            // Nobody hears what comes of it.
            drop(self.alone(self.system(), &call).await);
            self.dir = torn(before, &image(&self.dir), written);
        }
        self.reopen().await;
    }

    /// What is cheap to compare is the same after each step, and what always holds does.
    async fn step(&mut self) {
        let all = self.model.list(JobFilter::default(), None, 1000).await;
        let jobs = all.unwrap();
        let found = self.system().list(JobFilter::default(), None, 1000).await;
        assert_eq!(jobs, found.unwrap());
        assert_eq!(self.model.depths(), self.system().depths());
        self.invariants.hold(&jobs.jobs, self.system().counts());
    }

    async fn call(&mut self, call: Call) {
        match call {
            Call::Accept {
                model,
                priority,
                key,
                expires_in,
            } => self.accept(model, priority, key, expires_in).await,
            Call::Claim {
                slot,
                resident,
                paused,
            } => self.claim(slot, &resident, paused).await,
            Call::Start { job, late } => self.start(job, late).await,
            Call::Append {
                job,
                late,
                first,
                events,
            } => self.append(job, late, first, events).await,
            Call::Settle {
                job,
                late,
                outcome,
                logged,
            } => self.settle(job, late, outcome, logged).await,
            Call::Delete { job } => self.delete(job).await,
            Call::Cancel { job } => self.cancel(job).await,
            Call::Due => self.due().await,
            Call::Purge {
                bodies_age,
                jobs_age,
                limit,
            } => {
                let purge = Purge {
                    bodies_before: self.at(-bodies_age),
                    jobs_before: self.at(-jobs_age),
                    limit,
                };
                same(
                    self.model.purge(purge).await,
                    self.system().purge(purge).await,
                );
            }
            Call::Note { value } => self.note(Bytes::from(vec![value; 3])).await,
        }
    }

    async fn accept(
        &mut self,
        model: u8,
        priority: usize,
        key: Option<(u8, u8)>,
        expires_in: Option<i64>,
    ) {
        let job = self.asked(model, priority, key, expires_in);
        self.accepted.push(job.id);
        same(
            self.model.accept(job.clone()).await,
            self.system().accept(job).await,
        );
    }

    pub(crate) fn asked(
        &self,
        model: u8,
        priority: usize,
        key: Option<(u8, u8)>,
        expires_in: Option<i64>,
    ) -> NewJob {
        NewJob {
            priority: Priority::ALL[priority],
            expires_at: expires_in.map(|after| self.at(after)),
            idempotency: key.map(|(key, body)| IdempotencyKey {
                scope: "s".to_owned(),
                key: key.to_string(),
                request_hash: [body; 32],
            }),
            ..self.new_job(self.accepted.len(), model)
        }
    }

    fn new_job(&self, number: usize, model: u8) -> NewJob {
        NewJob {
            id: JobId::generate(self.at(0), &Numbered(number.try_into().unwrap())),
            endpoint: Endpoint::ALL[number % Endpoint::ALL.len()],
            model: format!("m{model}"),
            runner: runner(model),
            priority: Priority::Normal,
            caller: [None, Some("ann"), Some("bob")][number / 2 % 3].map(str::to_owned),
            created_at: self.at(0),
            not_before: (number % 5 == 4).then(|| self.at(20)),
            expires_at: None,
            request: StoredRequest {
                headers: [("x-number".to_owned(), number.to_string())].into(),
                body: Bytes::from(vec![b'q'; number * 500]),
            },
            max_queue: None,
            retry_of: None,
            metadata: None,
            idempotency: None,
        }
    }

    async fn note(&self, value: Bytes) {
        same(
            self.model.save_note("note", value.clone()).await,
            self.system().save_note("note", value).await,
        );
    }

    async fn claim(&self, slot: u32, resident: &[u8], paused: Option<u8>) {
        let seen = Arc::default();
        let mut request = self.wish(slot, resident, paused);
        // The model always knows; who would have to read says nothing.
        let foreseen = self.model.foresee(&request, &[]);
        if let Some(system) = self.system().foresee(&request, &[]) {
            let model = foreseen.as_ref().map(|it| it.choice);
            assert_eq!(Some(system.choice), model);
            request.foreseen = model;
        }
        request.choose = watched(&seen);
        same(
            self.model.claim(request.clone()).await,
            self.system().claim(request).await,
        );
        if let [model, system] = seen.lock().unwrap().as_slice() {
            assert_eq!(model, system);
        }
    }

    pub(crate) fn wish(&self, slot: u32, resident: &[u8], paused: Option<u8>) -> ClaimRequest {
        ClaimRequest {
            foreseen: None,
            is_begun: false,
            slot,
            resident: resident.iter().map(|model| runner(*model)).collect(),
            paused: paused.iter().map(|model| format!("m{model}")).collect(),
            aged_before: Some(self.at(-20)),
            used: Arc::new(|caller| if caller == Some("ann") { 2.0 } else { 1.0 }),
            now: self.at(0),
            choose: watched(&Arc::default()),
        }
    }

    async fn start(&self, job: usize, late: bool) {
        let Some(job) = self.job(job).await else {
            return;
        };
        let epoch = epoch(&job, late);
        same(
            self.model.start(job.seq, epoch, self.at(0)).await,
            self.system().start(job.seq, epoch, self.at(0)).await,
        );
    }

    async fn due(&self) {
        let now = self.at(0);
        same(self.model.due(now).await, self.system().due(now).await);
    }

    async fn append(&self, job: usize, late: bool, first: u64, events: usize) {
        let Some(job) = self.job(job).await else {
            return;
        };
        let log = run_log(first, events);
        let epoch = epoch(&job, late);
        same(
            self.model.append_events(job.seq, epoch, log.clone()).await,
            self.system().append_events(job.seq, epoch, log).await,
        );
    }

    async fn delete(&self, job: usize) {
        let Some(id) = self.accepted.get(job) else {
            return;
        };
        same(
            self.model.delete(*id, self.at(0)).await,
            self.system().delete(*id, self.at(0)).await,
        );
    }

    async fn settle(&self, job: usize, late: bool, outcome: usize, logged: bool) {
        let Some(job) = self.job(job).await else {
            return;
        };
        let settlement = self.settlement(&job, late, outcome, logged);
        same(
            self.model.settle(settlement.clone()).await,
            self.system().settle(settlement).await,
        );
    }

    pub(crate) fn settlement(
        &self,
        job: &Job,
        late: bool,
        outcome: usize,
        logged: bool,
    ) -> Settlement {
        Settlement {
            id: job.id,
            // Both ways to find it.
            seq: logged.then_some(job.seq),
            epoch: epoch(job, late),
            now: self.at(0),
            outcome: self.outcome(outcome),
            log: logged.then(|| run_log(2, 3)),
        }
    }

    async fn cancel(&self, job: usize) {
        let Some(id) = self.accepted.get(job) else {
            return;
        };
        same(
            self.model.cancel(*id, self.at(0)).await,
            self.system().cancel(*id, self.at(0)).await,
        );
    }

    /// The model remembers what the database must.
    async fn reopen(&mut self) {
        self.system = None;
        self.system = Some(open(&self.dir));
        let (now, latest) = (self.at(0), self.at(8));
        same(
            self.model.recover(now, latest).await,
            self.system().recover(now, latest).await,
        );
    }

    pub(crate) async fn job(&self, number: usize) -> Option<Job> {
        self.model.job(*self.accepted.get(number)?).await.unwrap()
    }

    fn outcome(&self, which: usize) -> Outcome {
        let failure = JobFailure::new(FailureKind::Stalled, "nothing came for a while");
        let answer = Answered {
            head: AnswerHead {
                status: 201,
                headers: [("a".to_owned(), "b".to_owned())].into(),
            },
            usage: Some(Usage {
                prompt_tokens: 1,
                ..Usage::default()
            }),
        };
        match which {
            0 | 1 => Outcome::Done { answer },
            2 => Outcome::Failed {
                failure,
                spends_attempt: true,
                answer: Some(answer),
            },
            3 => Outcome::Retry {
                failure,
                spends_attempt: false,
                retry_at: None,
            },
            4 => Outcome::Retry {
                failure,
                spends_attempt: true,
                retry_at: Some(self.at(10)),
            },
            5 => Outcome::Cancelled,
            _ => Outcome::Released,
        }
    }

    /// All that can be read is the same, and holds what always holds.
    pub(crate) async fn check(&self) {
        assert_eq!(self.model.counts(), self.system().counts());
        assert_eq!(self.model.depths(), self.system().depths());
        same(
            self.model.oldest_queued().await,
            self.system().oldest_queued().await,
        );
        same(
            self.model.note("note").await,
            self.system().note("note").await,
        );
        for model in 0..3 {
            same(
                self.model.has_ready(&runner(model)).await,
                self.system().has_ready(&runner(model)).await,
            );
        }
        let filter = JobFilter {
            model: Some(Arc::new(|model: &str| model != "m1")),
            ..JobFilter::default()
        };
        same(
            self.model.list(filter.clone(), Some(7), 3).await,
            self.system().list(filter, Some(7), 3).await,
        );
        let (mut running, mut known) = (0, Vec::new());
        for id in &self.accepted {
            let job = self.model.job(*id).await.unwrap();
            running += u32::from(
                job.as_ref()
                    .is_some_and(|job| job.progress.state.is_running()),
            );
            assert_eq!(job, self.system().job(*id).await.unwrap());
            self.check_job(*id, job.as_ref()).await;
            known.extend(job);
        }
        same(
            self.model.standings(&known, self.at(0)).await,
            self.system().standings(&known, self.at(0)).await,
        );
        assert!(running <= SLOTS);
        assert_eq!(
            u64::from(running),
            self.model.counts().of(JobState::Loading) + self.model.counts().of(JobState::Working)
        );
    }

    /// What belongs to one job is the same.
    async fn check_job(&self, id: JobId, job: Option<&Job>) {
        if let Some(job) = job {
            same(
                self.model.standing(job, self.at(0)).await,
                self.system().standing(job, self.at(0)).await,
            );
        }
        same(
            self.model.request(id).await,
            self.system().request(id).await,
        );
        same(
            self.model.events(id, 0, 4).await,
            self.system().events(id, 0, 4).await,
        );
        for after in [2, 3] {
            same(
                self.model.events(id, after, 100).await,
                self.system().events(id, after, 100).await,
            );
        }
        same(self.model.answer(id).await, self.system().answer(id).await);
    }
}

/// Two outcomes are the same when their texts are: errors have no equality.
fn same<T: std::fmt::Debug, E: std::error::Error>(model: Result<T, E>, system: Result<T, E>) {
    let text = |error: E| (error.to_string(), error.source().map(ToString::to_string));
    let (model, system) = (model.map_err(text), system.map_err(text));
    assert_eq!(format!("{model:?}"), format!("{system:?}"));
}

fn open(dir: &TempDir) -> Faulty {
    let config = SqliteConfig {
        reserve: 0,
        ballast: 0,
        readers: 1,
        log_room: 0,
        // Nothing here loses power.
        synchronous: Synchronous::Normal,
        idle: Duration::from_hours(1),
        ..SqliteConfig::new(dir.path().join("queue.db"))
    };
    Faulty::new(Arc::new(SqliteStore::open(&config).unwrap()))
}

/// A directory in memory, where there is such a thing: nothing here waits for a disk.
fn directory() -> TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir()).unwrap()
}

/// What a killed process would leave: the files as they are, in the middle of its life.
fn image(dir: &TempDir) -> TempDir {
    let image = directory();
    for name in ["queue.db", "queue.db-wal"] {
        fs::copy(dir.path().join(name), image.path().join(name)).unwrap();
    }
    image
}

/// What a process leaves that is killed while it writes: a part of what it adds to the log.
fn torn(before: TempDir, after: &TempDir, written: u16) -> TempDir {
    let log = |dir: &TempDir| fs::read(dir.path().join("queue.db-wal")).unwrap();
    let (old, new) = (log(&before), log(after));
    if new.len() > old.len() {
        let added = (new.len() - old.len()) * usize::from(written) / 256;
        let end = old.len() + added;
        fs::write(before.path().join("queue.db-wal"), &new[..end]).unwrap();
    }
    before
}

fn runner(model: u8) -> RunnerKey {
    RunnerKey::new(&format!("m{model}"), "")
}

pub(crate) fn epoch(job: &Job, late: bool) -> Epoch {
    let current = job.progress.epoch.get();
    Epoch::new(if late {
        current.saturating_sub(1)
    } else {
        current
    })
}

pub(crate) fn run_log(first: u64, events: usize) -> RunLog {
    let all = [
        LogEvent::State(JobState::Loading),
        LogEvent::Chunk(Bytes::from_static(b"one")),
        LogEvent::Chunk(Bytes::from(vec![b'2'; 40_000])),
    ];
    RunLog {
        first,
        events: all.into_iter().take(events).collect(),
    }
}

/// Takes the first of the drain's callers, and keeps what it was shown.
fn watched(seen: &Arc<Mutex<Vec<QueueHeads>>>) -> Choose {
    let seen = Arc::clone(seen);
    Arc::new(move |heads: &QueueHeads| {
        seen.lock().unwrap().push(heads.clone());
        let head = heads.callers.first().unwrap_or(&heads.oldest);
        Some(Choice {
            seq: head.seq,
            reason: PickReason::Resident,
        })
    })
}
