//! The jobs of a [`MemoryStore`](super::MemoryStore), and every change of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use foreman_job::lifecycle::{Epoch, Event, Progress};
use foreman_job::{Choice, Job, JobId, JobState, RunnerKey, Timestamp};

use super::heads;
use super::journal::Journal;
use crate::depth::{Depths, Grouped};
use crate::log::{self, Span};
use crate::{
    Accepted, Answered, ClaimRequest, Claimed, Deletion, Depth, Due, Foreseen, IdempotencyKey,
    JobFilter, LogPage, NewJob, Purge, Purged, QueueCounts, Recovery, RunLog, Settlement,
    SlotTaken, Standing, StoreError, StoredAnswer, StoredRequest, TakenId, Withdrawal, transition,
};

/// Everything the store keeps.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By place in the queue.
    entries: BTreeMap<i64, Entry>,
    notes: BTreeMap<&'static str, Bytes>,
    /// The highest place ever given; never goes down.
    last_seq: i64,
}

/// A job with what belongs to it.
#[derive(Debug)]
struct Entry {
    job: Job,
    idempotency: Option<IdempotencyKey>,
    request: Option<StoredRequest>,
    answer: Option<Answered>,
    log: Journal,
    /// The slot it runs in; some exactly while it runs.
    slot: Option<u32>,
}

impl State {
    pub(super) fn accept(&mut self, new: NewJob) -> Result<Accepted, StoreError> {
        if let Some(key) = &new.idempotency
            && let Some(existing) = self.by_key(key)?
        {
            return Ok(Accepted::Existing(Box::new(existing.clone())));
        }
        if self.by_id(new.id).is_some() {
            return Err(StoreError::Database(Box::new(TakenId(new.id))));
        }
        new.check_room(self.counts().queued)?;
        let seq = self.last_seq.saturating_add(1);
        self.last_seq = seq;
        let entry = Entry {
            job: new.to_job(seq),
            idempotency: new.idempotency,
            request: Some(new.request),
            answer: None,
            log: Journal::default(),
            slot: None,
        };
        self.entries.insert(seq, entry);
        Ok(Accepted::New { seq })
    }

    pub(super) fn claim(&mut self, wish: &ClaimRequest) -> Result<Option<Claimed>, StoreError> {
        if self
            .entries
            .values()
            .any(|entry| entry.slot == Some(wish.slot))
        {
            return Err(StoreError::Database(Box::new(SlotTaken(wish.slot))));
        }
        let choice = match wish.foreseen {
            Some(choice) => Some(choice).filter(|choice| {
                let mut waiting = self.queued();
                waiting.any(|job| job.seq == choice.seq && job.progress.retry_at.is_none())
            }),
            None => self.choose(wish, &[]),
        };
        let Some(choice) = choice else {
            return Ok(None);
        };
        let entry = self
            .entries
            .get_mut(&choice.seq)
            .ok_or(StoreError::NotFound)?;
        let job = transition::apply(&entry.job, &Event::Claim, wish.now)?;
        entry.job = job.clone();
        entry.slot = Some(wish.slot);
        Ok(Some(Claimed {
            job,
            reason: choice.reason,
            request: entry.request.clone(),
            next_event: entry.log.next(),
        }))
    }

    pub(super) fn foresee(&self, wish: &ClaimRequest, passed: &[i64]) -> Option<Foreseen> {
        let choice = self.choose(wish, passed)?;
        let entry = self.entries.get(&choice.seq)?;
        let is_new = entry.job.progress.epoch == Progress::accepted().epoch;
        let request = entry.request.clone().filter(|_| is_new);
        let claimed = request
            .and_then(|request| Claimed::first(&entry.job, request, choice.reason, wish.now));
        Some(Foreseen { choice, claimed })
    }

    fn choose(&self, wish: &ClaimRequest, passed: &[i64]) -> Option<Choice> {
        let is_there = |job: &&Job| !passed.contains(&job.seq);
        let ready: Vec<&Job> = self.ready(wish.now).filter(is_there).collect();
        let queued: Vec<&Job> = self.queued().collect();
        (wish.choose)(&heads::heads(&queued, &ready, wish)?)
    }

    pub(super) fn start(
        &mut self,
        seq: i64,
        epoch: Epoch,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let entry = self.entries.get_mut(&seq).ok_or(StoreError::NotFound)?;
        entry.job = transition::apply(&entry.job, &Event::Start { epoch }, now)?;
        Ok(())
    }

    pub(super) fn settle(&mut self, settlement: &Settlement) -> Result<Job, StoreError> {
        let entry = match settlement.seq {
            Some(seq) => self.entries.get_mut(&seq),
            None => self.entry_mut(settlement.id),
        };
        let entry = entry.ok_or(StoreError::NotFound)?;
        let run = (entry.job.progress.attempt, settlement.epoch);
        entry.job = transition::settle(&entry.job, settlement)?;
        entry.slot = None;
        entry.answer = settlement.outcome.answer().cloned();
        entry.log.settle(&entry.job, run, settlement.log.as_ref())?;
        Ok(entry.job.clone())
    }

    pub(super) fn append_events(
        &mut self,
        seq: i64,
        epoch: Epoch,
        log: &RunLog,
    ) -> Result<u64, StoreError> {
        let entry = self.entries.get_mut(&seq).ok_or(StoreError::NotFound)?;
        transition::may_log(&entry.job, epoch)?;
        let run = (entry.job.progress.attempt, epoch);
        entry.log.append(run, log)?;
        Ok(entry.log.last())
    }

    pub(super) fn delete(&mut self, id: JobId, now: Timestamp) -> Result<Deletion, StoreError> {
        let Some(entry) = self.entry_mut(id) else {
            return Ok(Deletion::Unknown);
        };
        if entry.job.progress.state.is_running() {
            return Ok(Deletion::Running(Box::new(entry.job.clone())));
        }
        if entry.job.progress.state == JobState::Queued {
            entry.job = transition::apply(&entry.job, &Event::Cancel, now)?;
        }
        let job = Box::new(entry.job.clone());
        self.entries.remove(&job.seq);
        Ok(Deletion::Forgotten(job))
    }

    pub(super) fn cancel(&mut self, id: JobId, now: Timestamp) -> Result<Withdrawal, StoreError> {
        let Some(entry) = self.entry_mut(id) else {
            return Ok(Withdrawal::Unknown);
        };
        if entry.job.progress.state.is_terminal() {
            return Ok(Withdrawal::Final(Box::new(entry.job.clone())));
        }
        entry.job = transition::apply(&entry.job, &Event::Cancel, now)?;
        let job = Box::new(entry.job.clone());
        Ok(if job.progress.state.is_terminal() {
            Withdrawal::Cancelled(job)
        } else {
            Withdrawal::Requested(job)
        })
    }

    pub(super) fn due(&mut self, now: Timestamp) -> Result<Due, StoreError> {
        let mut due = Due::default();
        for entry in self.queued_mut() {
            if entry.job.expires_at.is_some_and(|at| at <= now) {
                entry.job = transition::expire(&entry.job, now)?;
                due.expired.push(entry.job.clone());
            } else if entry.job.progress.retry_at.is_some_and(|at| at <= now) {
                entry.job.progress.retry_at = None;
                due.promoted = due.promoted.saturating_add(1);
            }
        }
        due.next = self
            .queued()
            .flat_map(|job| [job.progress.retry_at, job.expires_at])
            .flatten()
            .min();
        Ok(due)
    }

    pub(super) fn recover(
        &mut self,
        now: Timestamp,
        latest_retry: Timestamp,
    ) -> Result<Recovery, StoreError> {
        let mut jobs = Vec::new();
        for entry in self.entries.values_mut() {
            let found = entry.job.progress.state;
            if found.is_running() {
                entry.job = transition::recover(&entry.job, now, latest_retry)?;
                entry.slot = None;
                entry.log.reset(&entry.job);
                jobs.push((found, entry.job.clone()));
            }
        }
        for entry in self.queued_mut() {
            if let Some(at) = entry.job.progress.retry_at {
                let latest = latest_retry.max(entry.job.not_before.unwrap_or(latest_retry));
                entry.job.progress.retry_at = Some(at.min(latest));
            }
        }
        let queued = self.counts().queued;
        Ok(Recovery { jobs, queued })
    }

    pub(super) fn purge(&mut self, purge: Purge) -> Purged {
        let limit = usize::try_from(purge.limit).unwrap_or(usize::MAX);
        let gone = self.ended_before(purge.jobs_before, limit, |_| true);
        for seq in &gone {
            self.entries.remove(seq);
        }
        let emptied =
            self.ended_before(purge.bodies_before, limit, |entry| entry.request.is_some());
        for seq in &emptied {
            if let Some(entry) = self.entries.get_mut(seq) {
                entry.request = None;
                entry.answer = None;
                entry.log = Journal::default();
            }
        }
        Purged {
            bodies: u64::try_from(emptied.len()).unwrap_or(u64::MAX),
            jobs: u64::try_from(gone.len()).unwrap_or(u64::MAX),
        }
    }

    pub(super) fn job(&self, id: JobId) -> Option<Job> {
        self.by_id(id).map(|entry| entry.job.clone())
    }

    pub(super) fn request(&self, id: JobId) -> Option<StoredRequest> {
        self.by_id(id)?.request.clone()
    }

    pub(super) fn answer(&self, id: JobId) -> Option<StoredAnswer> {
        let entry = self.by_id(id)?;
        let Answered { head, usage } = entry.answer.clone()?;
        Some(StoredAnswer {
            head,
            chunks: entry.log.chunks(entry.job.progress.epoch),
            usage,
        })
    }

    pub(super) fn events(&self, id: JobId, span: Span) -> Option<LogPage> {
        let entry = self.by_id(id)?;
        let mut page = log::page(
            entry.job.clone(),
            span,
            entry.log.last(),
            entry.log.read(span),
        );
        page.pruned = entry.request.is_none() || (entry.answer.is_some() && entry.log.is_empty());
        Some(page)
    }

    pub(super) fn list(&self, filter: &JobFilter, before: Option<i64>, limit: usize) -> Vec<Job> {
        self.entries
            .values()
            .rev()
            .map(|entry| &entry.job)
            .filter(|job| before.is_none_or(|before| job.seq < before))
            .filter(|job| filter.matches(job))
            .take(limit)
            .cloned()
            .collect()
    }

    pub(super) fn has_ready(&self, runner: &RunnerKey) -> bool {
        self.queued()
            .any(|job| job.progress.retry_at.is_none() && job.runner == *runner)
    }

    pub(super) fn depths(&self) -> Vec<Depth> {
        let mut depths = Depths::default();
        for job in self.queued() {
            depths.add(&job.to_group(), 1);
        }
        depths.list()
    }

    pub(super) fn standing(&self, job: &Job, now: Timestamp) -> Option<Standing> {
        if job.progress.state != JobState::Queued || job.progress.retry_at.is_some() {
            return None;
        }
        let ready = self.queued().filter(|it| it.progress.retry_at.is_none());
        let older = ready.filter(|it| {
            it.runner == job.runner && it.priority == job.priority && it.seq < job.seq
        });
        let mut of_callers: BTreeMap<Option<String>, u64> = BTreeMap::new();
        for job in older {
            let jobs = of_callers.entry(job.caller.clone()).or_default();
            *jobs = jobs.saturating_add(1);
        }
        let of_class = self.ready(now).filter(|it| it.priority == job.priority);
        let of_class: Vec<&Job> = of_class.collect();
        Some(Standing {
            older: of_callers.into_iter().collect(),
            runners: heads::of_each_runner(&of_class, now),
        })
    }

    pub(super) fn oldest_queued(&self) -> Option<Timestamp> {
        let oldest = self.queued().min_by_key(|job| job.seq);
        oldest.map(|job| job.created_at)
    }

    pub(super) fn counts(&self) -> QueueCounts {
        let mut counts = QueueCounts::default();
        for entry in self.entries.values() {
            let count = counts.of_mut(entry.job.progress.state);
            *count = count.saturating_add(1);
        }
        counts
    }

    pub(super) fn save_note(&mut self, name: &'static str, value: Bytes) {
        self.notes.insert(name, value);
    }

    pub(super) fn note(&self, name: &str) -> Option<Bytes> {
        self.notes.get(name).cloned()
    }

    /// Jobs that may be claimed now, in the order of acceptance.
    fn ready(&self, now: Timestamp) -> impl Iterator<Item = &Job> {
        self.queued().filter(move |job| {
            job.progress.retry_at.is_none() && job.expires_at.is_none_or(|at| at > now)
        })
    }

    fn queued(&self) -> impl Iterator<Item = &Job> {
        self.entries
            .values()
            .map(|entry| &entry.job)
            .filter(|job| job.progress.state == JobState::Queued)
    }

    fn queued_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries
            .values_mut()
            .filter(|entry| entry.job.progress.state == JobState::Queued)
    }

    /// The places of ended jobs, the longest ended first.
    fn ended_before(
        &self,
        before: Timestamp,
        limit: usize,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Vec<i64> {
        let mut ended: Vec<(Timestamp, i64)> = self
            .entries
            .values()
            .filter(|entry| wanted(entry))
            .filter_map(|entry| Some((entry.job.finished_at?, entry.job.seq)))
            .filter(|(finished_at, _)| *finished_at < before)
            .collect();
        ended.sort_unstable();
        ended.truncate(limit);
        ended.into_iter().map(|(_, seq)| seq).collect()
    }

    fn by_id(&self, id: JobId) -> Option<&Entry> {
        self.entries.values().find(|entry| entry.job.id == id)
    }

    fn entry_mut(&mut self, id: JobId) -> Option<&mut Entry> {
        self.entries.values_mut().find(|entry| entry.job.id == id)
    }

    fn by_key(&self, key: &IdempotencyKey) -> Result<Option<&Job>, StoreError> {
        for entry in self.entries.values() {
            if let Some(known) = &entry.idempotency
                && known.scope == key.scope
                && known.key == key.key
            {
                if known.request_hash == key.request_hash {
                    return Ok(Some(&entry.job));
                }
                return Err(StoreError::IdempotencyMismatch);
            }
        }
        Ok(None)
    }
}
