//! The scheduler's state, and the decisions that it allows; no waiting here.

use std::{collections::VecDeque, sync::Arc};

use jiff::Timestamp;
use tokio::{
    sync::{Semaphore, oneshot},
    time::Instant,
};

use super::{
    Ask, Keep, Lease, Limits, Refusal,
    options::Effective,
    runner::{Resident, Runner},
};
use crate::{
    model::Model,
    record::{EvictionReason, LoadReason},
};

/// A request that waits for a load.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) ask: Ask,
    pub(super) reply: oneshot::Sender<Result<Lease, Refusal>>,
    /// How many runners had left when it began to wait for one to leave.
    waits_since: Option<u64>,
    pub(super) reason: LoadReason,
}

/// Everything that the scheduler knows.
#[derive(Debug, Default)]
pub(super) struct State {
    runners: Vec<Runner>,
    queue: VecDeque<Pending>,
    /// What the worker is busy with.
    hand: Option<Pending>,
    ids: u64,
    departures: u64,
    /// When the reaper looks next.
    pub(super) reaper: Option<Instant>,
}

/// What a request meets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A loaded runner that fits.
    Ready(u64),
    /// A runner that is being loaded: whether it fits shows later.
    Loading,
    /// None, or one that does not fit.
    Missing,
}

/// What became of a runner whose last lease ended.
#[derive(Debug)]
pub(super) struct Idle {
    /// It leaves now.
    pub(super) leaves: bool,
    /// It leaves before the reaper would look.
    pub(super) wakes_reaper: bool,
}

/// What the worker does next.
#[derive(Debug)]
pub(super) enum Step {
    /// Waits for a change.
    Wait,
    /// A runner with that id fits after all.
    Use(u64, Pending),
    /// Loads.
    Load(Pending),
    /// A runner left at once; decides again.
    Left(Runner, EvictionReason),
}

impl State {
    fn by_blob(&mut self, blob: &str) -> Option<&mut Runner> {
        self.runners
            .iter_mut()
            .find(|runner| runner.model.spec.blob == blob)
    }

    fn by_id(&mut self, id: u64) -> Option<&mut Runner> {
        self.runners.iter_mut().find(|runner| runner.id == id)
    }

    /// What a request meets.
    pub(super) fn find(&mut self, ask: &Ask, context: i64) -> Found {
        let wanted = ask.options.effective(&ask.model, context);
        match self.by_blob(&ask.model.spec.blob) {
            Some(runner) if !runner.loaded => Found::Loading,
            Some(runner) if runner.dead => Found::Missing,
            Some(runner) if runner.options.reload_for(&wanted).is_none() => Found::Ready(runner.id),
            Some(_) | None => Found::Missing,
        }
    }

    /// Queues a request; an idle worker takes it in its hand, outside the limit.
    pub(super) fn enqueue(
        &mut self,
        ask: &Ask,
        max_queue: usize,
    ) -> Result<oneshot::Receiver<Result<Lease, Refusal>>, Refusal> {
        let (reply, receiver) = oneshot::channel();
        let (ask, reason) = (ask.clone(), LoadReason::Cold);
        let pending = Pending {
            ask,
            reply,
            waits_since: None,
            reason,
        };
        if self.hand.is_none() && self.queue.is_empty() {
            self.hand = Some(pending);
        } else if self.queue.len() < max_queue {
            self.queue.push_back(pending);
        } else {
            return Err(Refusal::Busy);
        }
        Ok(receiver)
    }

    /// Counts a lease; a keep-alive that comes with it replaces the runner's.
    pub(super) fn hold(&mut self, id: u64, keep: Option<Keep>) -> Arc<Semaphore> {
        let Some(runner) = self.by_id(id) else {
            return Arc::new(Semaphore::new(1));
        };
        runner.leases += 1;
        runner.deadline = None;
        if let Some(keep) = keep {
            runner.keep = keep;
            runner.leaving = None;
        }
        Arc::clone(&runner.slots)
    }

    /// Ends a lease; tells what follows when it was the last.
    pub(super) fn release(&mut self, id: u64, now: Timestamp) -> Option<Idle> {
        let runner = self.by_id(id)?;
        runner.leases = runner.leases.saturating_sub(1);
        if runner.leases > 0 {
            return None;
        }
        let Keep::For(length) = runner.keep else {
            runner.expires = Some(runner.keep.expiry(now));
            return None;
        };
        runner.expires = Some(runner.keep.expiry(now));
        let deadline = Instant::now().checked_add(length);
        runner.deadline = deadline;
        let wakes_reaper = deadline.is_some_and(|at| self.reaper.is_none_or(|next| at < next));
        Some(Idle {
            leaves: length.is_zero(),
            wakes_reaper,
        })
    }

    /// Removes a runner.
    pub(super) fn remove(&mut self, id: u64) -> Option<Runner> {
        let at = self.runners.iter().position(|runner| runner.id == id)?;
        self.departures += 1;
        Some(self.runners.remove(at))
    }

    /// Marks a runner as dead; returns it unless it was that already.
    pub(super) fn die(&mut self, id: u64) -> Option<Arc<Model>> {
        let runner = self.by_id(id).filter(|runner| !runner.dead)?;
        runner.dead = true;
        Some(Arc::clone(&runner.model))
    }

    /// Removes every runner.
    pub(super) fn clear(&mut self) -> Vec<Runner> {
        self.departures += 1;
        std::mem::take(&mut self.runners)
    }

    /// Makes a runner leave when idle; returns it when that is now.
    pub(super) fn expire(
        &mut self,
        blob: &str,
        reason: EvictionReason,
        now: Timestamp,
    ) -> Option<Runner> {
        let runner = self.by_blob(blob)?;
        let id = runner.id;
        runner.keep = Keep::NOTHING;
        runner.leaving = Some(reason);
        runner.deadline = None;
        if reason == EvictionReason::Unloaded {
            runner.expires = Some(now);
        }
        let idle = runner.loaded && runner.leases == 0;
        if idle { self.remove(id) } else { None }
    }

    /// The runners whose time is over, removed.
    pub(super) fn reap(&mut self, now: Instant) -> Vec<Runner> {
        let due = |r: &Runner| r.leases == 0 && r.deadline.is_some_and(|deadline| deadline <= now);
        let ids: Vec<_> = self
            .runners
            .iter()
            .filter(|r| due(r))
            .map(|r| r.id)
            .collect();
        let gone = ids.into_iter().filter_map(|id| self.remove(id)).collect();
        self.reaper = self
            .runners
            .iter()
            .filter_map(|runner| runner.deadline)
            .min();
        gone
    }

    /// The loaded models.
    pub(super) fn resident(&self, now: Timestamp) -> Vec<Resident> {
        let loaded = self.runners.iter().filter(|runner| runner.loaded);
        loaded
            .map(|runner| Resident {
                model: Arc::clone(&runner.model),
                expires: runner.expires.unwrap_or_else(|| runner.keep.expiry(now)),
                context: runner.options.num_ctx,
            })
            .collect()
    }

    /// How many requests wait.
    pub(super) fn pending(&self) -> usize {
        self.queue.len() + usize::from(self.hand.is_some())
    }

    /// What the worker does next.
    pub(super) fn step(&mut self, limits: &Limits, now: Timestamp) -> Step {
        let Some(mut pending) = self.hand.take().or_else(|| self.next_live()) else {
            return Step::Wait;
        };
        if pending.waits_since == Some(self.departures) {
            self.hand = Some(pending);
            return Step::Wait;
        }
        let wanted = pending
            .ask
            .options
            .effective(&pending.ask.model, limits.context);
        let blob = pending.ask.model.spec.blob.clone();
        self.bury(&blob);
        let room = self.has_room(limits, pending.ask.model.spec.size);
        let (victim, reason) = match self.by_blob(&blob) {
            // Somebody still holds on to it.
            Some(runner) if runner.dead => (Some(blob), EvictionReason::Crashed),
            Some(runner) => match runner.options.reload_for(&wanted) {
                None => return Step::Use(runner.id, pending),
                Some(option) => {
                    pending.reason = LoadReason::Reload(option);
                    (Some(blob), EvictionReason::Reloaded)
                }
            },
            None if room => {
                return Step::Load(pending);
            }
            None => (self.victim(), EvictionReason::MadeRoom),
        };
        pending.waits_since = Some(self.departures);
        self.hand = Some(pending);
        let gone = victim.and_then(|blob| self.expire(&blob, reason, now));
        gone.map_or(Step::Wait, |runner| Step::Left(runner, reason))
    }

    /// Removes a dead runner that nobody holds on to any more.
    fn bury(&mut self, blob: &str) {
        let dead =
            |runner: &Runner| runner.dead && runner.leases == 0 && runner.model.spec.blob == blob;
        if let Some(id) = self.runners.iter().find(|it| dead(it)).map(|it| it.id) {
            self.remove(id);
        }
    }

    /// The next request whose caller is still there; the others lose their place here.
    fn next_live(&mut self) -> Option<Pending> {
        while let Some(pending) = self.queue.pop_front() {
            if !pending.reply.is_closed() {
                return Some(pending);
            }
        }
        None
    }

    fn has_room(&self, limits: &Limits, size: u64) -> bool {
        if self.runners.is_empty() {
            return true;
        }
        let used: u64 = self
            .runners
            .iter()
            .map(|runner| runner.model.spec.size)
            .sum();
        let fits = limits
            .memory
            .is_none_or(|all| size <= all.saturating_sub(used) / 5 * 4);
        fits && self.runners.len() < limits.max_loaded
    }

    /// The runner that goes first: an idle one if there is any, by the shortest keep-alive.
    fn victim(&self) -> Option<String> {
        let idle = self.runners.iter().filter(|runner| runner.leases == 0);
        let chosen = idle
            .min_by(|a, b| a.eviction_order(b))
            .or_else(|| self.runners.iter().min_by(|a, b| a.eviction_order(b)))?;
        Some(chosen.model.spec.blob.clone())
    }

    /// Adds a runner that is being loaded.
    pub(super) fn start_load(
        &mut self,
        pending: &Pending,
        options: Effective,
        limits: &Limits,
    ) -> u64 {
        self.ids += 1;
        let parallel = if pending.ask.model.generates() {
            limits.parallel.max(1)
        } else {
            1
        };
        self.runners.push(Runner {
            id: self.ids,
            model: Arc::clone(&pending.ask.model),
            options,
            keep: pending.ask.keep.unwrap_or(limits.keep_alive),
            leases: 0,
            loaded: false,
            expires: None,
            deadline: None,
            slots: Arc::new(Semaphore::new(parallel)),
            dead: false,
            leaving: None,
        });
        self.ids
    }

    /// Marks a runner as loaded; false when it is gone.
    pub(super) fn loaded(&mut self, id: u64) -> bool {
        self.by_id(id).map(|runner| runner.loaded = true).is_some()
    }
}
