//! All jobs in the queue, counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use foreman_job::{HeadJob, Job, Priority, RunnerKey, Timestamp};

use super::lines::{First, Line, Runner};
use super::{Depth, Group, Grouped, Member, Move, Spot};

/// All jobs in the queue, counted, and the first of each line; nothing in here is empty.
///
/// It costs the same however many jobs wait: a few words for each line, and the places of its
/// youngest jobs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Depths {
    classes: BTreeMap<Priority, Class>,
    /// No job has a later place.
    latest: i64,
    /// The last place that was given.
    given: i64,
    /// Lines whose first job may not be known, since a change was undone.
    unknown: Vec<Arc<Group>>,
}

/// The oldest of the waiting jobs that are ready.
#[derive(Debug, Default)]
pub(crate) struct Oldest {
    pub(crate) known: Option<Spot>,
    /// Lines whose first job must be looked for.
    pub(crate) unknown: Vec<Arc<Group>>,
}

#[derive(Debug, Clone, Default)]
struct Class {
    runners: BTreeMap<RunnerKey, Runner>,
    callers: BTreeMap<Option<String>, u64>,
    /// Kept while they are the same: they change when a job leaves, and seldom when one comes.
    firsts: Option<Firsts>,
}

/// The first jobs of all runners of a class, as far as they were looked for.
#[derive(Debug, Clone)]
pub(super) struct Firsts {
    pub(super) heads: Heads,
    /// None of them was accepted later than this.
    pub(super) from: Timestamp,
    /// None of them expires before.
    pub(super) until: Option<Timestamp>,
}

/// First jobs in their order.
#[derive(Debug, Clone)]
pub(super) struct Heads {
    pub(super) jobs: Arc<Vec<HeadJob>>,
    /// The places of their runners in the order of the keys.
    pub(super) places: Arc<Vec<usize>>,
}

impl Firsts {
    /// Tells whether they are the same at a time.
    fn hold_at(&self, now: Timestamp) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }
}

impl Depths {
    /// Begins with the last place that was ever given.
    pub(crate) fn after(latest: i64) -> Self {
        Self {
            latest,
            given: latest,
            ..Self::default()
        }
    }

    /// Gives the next place. A place is given again when it was taken back.
    pub(crate) const fn give(&mut self) -> i64 {
        self.given = self.given.saturating_add(1);
        self.given
    }

    /// Returns the last place that was given.
    pub(crate) const fn given(&self) -> i64 {
        self.given
    }

    /// Takes all places back after one.
    pub(crate) const fn take_back(&mut self, after: i64) {
        self.given = after;
    }

    /// Counts jobs that rest, or of which no more is to be known.
    pub(crate) fn add(&mut self, group: &Arc<Group>, jobs: u64) {
        self.change(group, |line, _| {
            line.queued = line.queued.saturating_add(jobs);
        });
    }

    /// Counts the ready jobs of a line.
    pub(crate) fn add_ready(&mut self, group: &Arc<Group>, jobs: u64, first: Spot) {
        self.change(group, |line, latest| {
            line.queued = line.queued.saturating_add(jobs);
            line.wake(jobs, first, latest);
        });
    }

    /// Follows a change.
    pub(crate) fn apply(&mut self, change: &Move) {
        match change {
            Move::In(group, member) => self.come(group, *member),
            Move::Out(group, member, next) => self.leave(group, *member, *next),
            Move::Woken(group, jobs, first) => {
                self.change(group, |line, latest| line.wake(*jobs, *first, latest));
            }
        }
    }

    /// Undoes a change, the last one first.
    pub(crate) fn undo(&mut self, change: &Move) {
        match change {
            Move::In(group, member) => {
                self.leave(group, *member, None);
                self.unknown.push(Arc::clone(group));
            }
            Move::Out(group, member, _) => self.come(group, *member),
            Move::Woken(group, jobs, _) => {
                self.change(group, |line, latest| line.unwake(*jobs, latest));
                self.unknown.push(Arc::clone(group));
            }
        }
    }

    fn come(&mut self, group: &Arc<Group>, member: Member) {
        self.latest = self.latest.max(member.spot.seq);
        self.change(group, |line, _| line.add(member));
    }

    fn leave(&mut self, group: &Arc<Group>, member: Member, next: Option<Spot>) {
        self.change(group, |line, _| line.remove(member, next));
    }

    /// Changes a line, and keeps the counts above it up with it.
    fn change(&mut self, group: &Arc<Group>, change: impl FnOnce(&mut Line, i64)) {
        let latest = self.latest;
        let class = self.classes.entry(group.priority).or_default();
        if !class.runners.contains_key(&group.runner) {
            let runner = group.runner.clone();
            class.runners.insert(runner, Runner::default());
            class.firsts = None;
        }
        let Some(runner) = class.runners.get_mut(&group.runner) else {
            return;
        };
        let (before, first) = (runner.queued(), runner.known_first());
        runner.change(group, |line| change(line, latest));
        let after = runner.queued();
        if first != runner.known_first() {
            class.firsts = None;
        }
        if runner.is_empty() {
            class.runners.remove(&group.runner);
            class.firsts = None;
        }
        if before != after {
            class.count(&group.caller, (before, after));
        }
        if class.runners.is_empty() {
            self.classes.remove(&group.priority);
        }
    }

    /// Returns what a job has in common with others.
    pub(crate) fn group_of(&self, job: &impl Grouped) -> Arc<Group> {
        let known = self.line(job).map(|line| Arc::clone(&line.group));
        known.unwrap_or_else(|| job.to_group())
    }

    /// Finds the line that begins with a place: for a job whose row does not tell its line any more.
    pub(crate) fn led_by(&self, seq: i64) -> Option<(Arc<Group>, Member)> {
        let classes = self.classes.values();
        let mut lines = classes
            .flat_map(|class| class.runners.values())
            .flat_map(Runner::lines);
        lines.find_map(|line| Some((Arc::clone(&line.group), line.led_by(seq)?)))
    }

    /// Tells whether a job is known to be the first of its line.
    pub(crate) fn leads(&self, job: &Job) -> bool {
        self.line(job)
            .is_some_and(|line| line.led_by(job.seq).is_some())
    }

    /// Tells who is the first of a line when its first job has left it; nobody where it was not the
    /// first.
    pub(crate) fn next(&self, group: &Group, member: Member) -> First {
        match self.line(group).filter(|_| member.is_ready) {
            Some(line) if line.ready() > 1 && line.may_be_first(member) => line.after(member),
            Some(_) | None => First::Nobody,
        }
    }

    /// Returns the lines whose first job is not known, and takes them for known.
    pub(crate) fn take_unknown(&mut self) -> Vec<Arc<Group>> {
        let mut unknown = std::mem::take(&mut self.unknown);
        unknown.retain(|group| self.line(&**group).is_some_and(Line::is_unknown));
        unknown
    }

    /// Names the first job of a line where it was not known.
    pub(crate) fn find(&mut self, group: &Arc<Group>, first: Option<Spot>) {
        self.change(group, |line, _| line.find(first));
    }

    /// Returns the lines of a runner.
    pub(crate) fn runner(&self, class: Priority, runner: &RunnerKey) -> Option<&Runner> {
        self.classes.get(&class)?.runners.get(runner)
    }

    /// Returns the runners that jobs of a class need.
    pub(crate) fn runners(&self, class: Priority) -> impl Iterator<Item = (&RunnerKey, &Runner)> {
        let class = self.classes.get(&class);
        class.into_iter().flat_map(|class| &class.runners)
    }

    pub(super) fn runner_count(&self, class: Priority) -> usize {
        let class = self.classes.get(&class);
        class.map_or(0, |class| class.runners.len())
    }

    /// Returns the first jobs of the runners of a class, where they were looked for and are the
    /// same.
    pub(super) fn known_firsts(&self, class: Priority, now: Timestamp) -> Option<Heads> {
        let known = self.classes.get(&class)?.firsts.as_ref()?;
        known.hold_at(now).then(|| known.heads.clone())
    }

    pub(super) fn keep_firsts(&mut self, class: Priority, firsts: Firsts) {
        if let Some(class) = self.classes.get_mut(&class) {
            class.firsts = Some(firsts);
        }
    }

    /// Names the callers that have jobs of a class.
    pub(crate) fn callers(&self, class: Priority) -> impl Iterator<Item = &Option<String>> {
        let class = self.classes.get(&class);
        class.into_iter().flat_map(|class| class.callers.keys())
    }

    /// Counts all of them.
    pub(crate) fn queued(&self) -> u64 {
        let classes = self.classes.values();
        let runners = classes.flat_map(|class| class.runners.values());
        runners.map(Runner::queued).sum()
    }

    /// Finds the oldest of the ready jobs.
    pub(crate) fn oldest(&self) -> Oldest {
        let classes = self.classes.values();
        let runners = classes.flat_map(|class| class.runners.values());
        let mut oldest = Oldest::default();
        for line in runners.flat_map(Runner::lines) {
            if line.is_unknown() {
                oldest.unknown.push(Arc::clone(&line.group));
            }
            let both = oldest.known.into_iter().chain(line.known_first());
            oldest.known = both.min_by_key(|spot| spot.seq);
        }
        oldest
    }

    /// Lists the groups.
    pub(crate) fn list(&self) -> Vec<Depth> {
        let classes = self.classes.values();
        let runners = classes.flat_map(|class| class.runners.values());
        let lines = runners.flat_map(Runner::lines);
        lines
            .map(|line| Depth {
                model: line.group.model.clone(),
                runner: line.group.runner.clone(),
                priority: line.group.priority,
                caller: line.group.caller.clone(),
                jobs: line.queued,
            })
            .collect()
    }

    fn line(&self, job: &impl Grouped) -> Option<&Line> {
        let (class, runner, caller, model) = job.keys();
        self.runner(class, runner)?.of(caller)?.get(model)
    }
}

impl Class {
    /// Follows the count of a caller's jobs.
    #[expect(clippy::ref_option, reason = "the key of a map, as it is there")]
    fn count(&mut self, caller: &Option<String>, (before, after): (u64, u64)) {
        let Some(count) = self.callers.get_mut(caller) else {
            self.callers
                .insert(caller.clone(), after.saturating_sub(before));
            return;
        };
        *count = count.saturating_add(after).saturating_sub(before);
        if *count == 0 {
            self.callers.remove(caller);
        }
    }
}
