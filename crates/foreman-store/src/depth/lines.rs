//! The lines of the queue: how long they are, and who is first in each.

use std::collections::BTreeMap;
use std::sync::Arc;

use foreman_job::{HeadJob, Timestamp};

use super::recent::Recent;
use super::{Group, Member, Spot};

/// The lines of a runner, within a class.
#[derive(Debug, Clone, Default)]
pub(crate) struct Runner {
    /// By caller, and by model as it was spelled.
    callers: BTreeMap<Option<String>, BTreeMap<String, Line>>,
    /// The first job of all its lines whose first job is known.
    first: Option<(Spot, Arc<Group>)>,
    /// Whether the first job of one of them is not known.
    any_unknown: bool,
    queued: u64,
}

/// Jobs that have everything in common.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) group: Arc<Group>,
    /// Those that rest included.
    pub(super) queued: u64,
    ready: u64,
    first: First,
    recent: Recent,
}

/// The first ready job of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// No job is ready.
    Nobody,
    At(Spot),
    /// It must be looked for.
    Unknown,
}

/// Who is passed over in the lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    /// Whoever has expired by then.
    pub(crate) now: Timestamp,
    /// These, at their places.
    pub(crate) passed: &'a [i64],
}

impl Sight<'_> {
    fn sees(self, spot: Spot) -> bool {
        !spot.is_expired(self.now) && !self.passed.contains(&spot.seq)
    }
}

/// The first job of some lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) spot: Spot,
    pub(crate) group: &'a Arc<Group>,
}

impl Head<'_> {
    pub(crate) fn to_job(self, now: Timestamp) -> HeadJob {
        HeadJob {
            seq: self.spot.seq,
            priority: self.group.priority,
            runner: self.group.runner.clone(),
            caller: self.group.caller.clone(),
            created_at: HeadJob::accepted(self.spot.created_at, now),
        }
    }
}

impl Line {
    fn new(group: &Arc<Group>) -> Self {
        Self {
            group: Arc::clone(group),
            queued: 0,
            ready: 0,
            first: First::Nobody,
            recent: Recent::default(),
        }
    }

    pub(super) fn add(&mut self, member: Member) {
        self.queued = self.queued.saturating_add(1);
        if member.is_ready {
            self.ready = self.ready.saturating_add(1);
            self.recent.add(member.spot);
            self.note(member.spot);
        }
    }

    /// Takes one away; `next` is who is first then, if it was the first.
    pub(super) fn remove(&mut self, member: Member, next: Option<Spot>) {
        self.queued = self.queued.saturating_sub(1);
        if member.is_ready {
            self.recent.remove(member.spot.seq);
            let is_first = self.may_be_first(member);
            self.wait(1);
            if self.ready > 0 && is_first {
                self.first = next.map_or(First::Unknown, First::At);
            }
        }
    }

    /// Adds jobs that are in the queue already, which are ready now; `latest` is the last place
    /// that was given.
    pub(super) fn wake(&mut self, jobs: u64, first: Spot, latest: i64) {
        self.ready = self.ready.saturating_add(jobs);
        self.recent = Recent::since(latest.saturating_add(1));
        self.note(first);
    }

    /// Undoes that.
    pub(super) fn unwake(&mut self, jobs: u64, latest: i64) {
        self.recent = Recent::since(latest.saturating_add(1));
        self.first = First::Unknown;
        self.wait(jobs);
    }

    /// Returns who comes after its first job, which is this one if it is known.
    pub(super) fn after(&self, member: Member) -> First {
        if self.is_unknown() {
            return First::Unknown;
        }
        match self.recent.from(member.spot.seq.saturating_add(1)) {
            Some(mut known) => known.next().map_or(First::Nobody, |spot| First::At(*spot)),
            None => First::Unknown,
        }
    }

    /// Names the first one, where it was not known.
    pub(super) fn find(&mut self, first: Option<Spot>) {
        if self.first == First::Unknown {
            self.first = first.map_or(First::Nobody, First::At);
        }
    }

    /// Tells whether a ready job was the first, or nobody knows.
    pub(super) fn may_be_first(&self, member: Member) -> bool {
        match self.first {
            First::At(first) => first.seq == member.spot.seq,
            First::Unknown => true,
            First::Nobody => false,
        }
    }

    pub(super) const fn ready(&self) -> u64 {
        self.ready
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.first == First::Unknown
    }

    /// Returns the first one; none where nobody is ready, or it is not known.
    pub(super) const fn known_first(&self) -> Option<Spot> {
        match self.first {
            First::At(spot) => Some(spot),
            First::Nobody | First::Unknown => None,
        }
    }

    /// Tells whether this place is the first, and what is known of it.
    pub(super) fn led_by(&self, seq: i64) -> Option<Member> {
        match self.first {
            First::At(spot) if spot.seq == seq => Some(Member {
                spot,
                is_ready: true,
            }),
            First::At(_) | First::Nobody | First::Unknown => None,
        }
    }

    /// Counts the ready jobs before a place; none where that is not known.
    pub(super) fn before(&self, seq: i64) -> Option<u64> {
        let newer = self.recent.count_from(seq)?;
        Some(self.ready.saturating_sub(newer))
    }

    fn note(&mut self, spot: Spot) {
        self.first = match self.first {
            First::Nobody => First::At(spot),
            First::At(first) if spot.seq < first.seq => First::At(spot),
            known @ (First::At(_) | First::Unknown) => known,
        };
    }

    fn wait(&mut self, jobs: u64) {
        self.ready = self.ready.saturating_sub(jobs);
        if self.ready == 0 {
            self.first = First::Nobody;
            self.recent = Recent::default();
        }
    }

    /// Returns the first one that is not passed over; who is not known is looked for.
    fn first<E>(
        &self,
        sight: Sight<'_>,
        find: &mut impl FnMut(&Arc<Group>) -> Result<Option<Spot>, E>,
    ) -> Result<Option<Head<'_>>, E> {
        let spot = match self.first {
            First::Nobody => None,
            First::At(spot) if sight.sees(spot) => Some(spot),
            First::At(spot) => match self.recent.from(spot.seq) {
                Some(known) => known.copied().find(|spot| sight.sees(*spot)),
                None => find(&self.group)?,
            },
            First::Unknown => find(&self.group)?,
        };
        let group = &self.group;
        Ok(spot.map(|spot| Head { spot, group }))
    }
}

impl Runner {
    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.callers.values().flat_map(BTreeMap::values)
    }

    /// How many jobs wait for it, those that rest included.
    pub(crate) const fn queued(&self) -> u64 {
        self.queued
    }

    /// Returns the place of the first job; none where nobody is ready or some line is not known.
    pub(super) fn known_first(&self) -> Option<i64> {
        let first = self.first.as_ref().filter(|_| !self.any_unknown);
        first.map(|(spot, _)| spot.seq)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }

    /// Names the callers that have jobs here, and their lines.
    pub(super) fn callers(
        &self,
    ) -> impl Iterator<Item = (&Option<String>, impl Iterator<Item = &Line>)> {
        let callers = self.callers.iter();
        callers.map(|(caller, models)| (caller, models.values()))
    }

    /// Names the callers that have jobs here.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Option<String>> {
        self.callers.keys()
    }

    #[expect(clippy::ref_option, reason = "the key of a map, as it is there")]
    pub(super) fn of(&self, caller: &Option<String>) -> Option<&BTreeMap<String, Line>> {
        self.callers.get(caller)
    }

    /// Changes a line, which comes to be where there was none, and is gone when it is empty.
    pub(super) fn change(&mut self, group: &Arc<Group>, change: impl FnOnce(&mut Line)) {
        // Names are copied for a new line only.
        if !self.callers.contains_key(&group.caller) {
            self.callers.insert(group.caller.clone(), BTreeMap::new());
        }
        let Some(models) = self.callers.get_mut(&group.caller) else {
            return;
        };
        if !models.contains_key(&group.model) {
            models.insert(group.model.clone(), Line::new(group));
        }
        let Some(line) = models.get_mut(&group.model) else {
            return;
        };
        let before = (line.first, line.queued);
        change(line);
        let after = (line.first, line.queued);
        if line.queued == 0 {
            models.remove(&group.model);
            if models.is_empty() {
                self.callers.remove(&group.caller);
            }
        }
        self.queued = self.queued.saturating_sub(before.1).saturating_add(after.1);
        self.follow(group, before.0, after.0);
    }

    /// Keeps the first of all up with that of a line.
    fn follow(&mut self, group: &Arc<Group>, before: First, after: First) {
        if before == after {
            return;
        }
        if let (First::Nobody, First::At(spot)) = (before, after) {
            if self.first.as_ref().is_none_or(|(it, _)| spot.seq < it.seq) {
                self.first = Some((spot, Arc::clone(group)));
            }
            return;
        }
        let known = self
            .lines()
            .filter_map(|line| Some((line.known_first()?, &line.group)));
        let first = known.min_by_key(|(spot, _)| spot.seq);
        let first = first.map(|(spot, group)| (spot, Arc::clone(group)));
        let any_unknown = self.lines().any(Line::is_unknown);
        self.first = first;
        self.any_unknown = any_unknown;
    }

    /// Returns the first job that is not passed over.
    pub(crate) fn first<E>(
        &self,
        sight: Sight<'_>,
        find: &mut impl FnMut(&Arc<Group>) -> Result<Option<Spot>, E>,
    ) -> Result<Option<Head<'_>>, E> {
        match &self.first {
            None if !self.any_unknown => Ok(None),
            Some((spot, group)) if !self.any_unknown && sight.sees(*spot) => {
                Ok(Some(Head { spot: *spot, group }))
            }
            None | Some(_) => first_of(self.lines(), sight, find),
        }
    }

    /// The same of one caller.
    #[expect(clippy::ref_option, reason = "the key of a map, as it is there")]
    pub(crate) fn first_of<E>(
        &self,
        caller: &Option<String>,
        sight: Sight<'_>,
        find: &mut impl FnMut(&Arc<Group>) -> Result<Option<Spot>, E>,
    ) -> Result<Option<Head<'_>>, E> {
        let lines = self.of(caller).into_iter().flat_map(BTreeMap::values);
        first_of(lines, sight, find)
    }
}

fn first_of<'a, E>(
    lines: impl Iterator<Item = &'a Line>,
    sight: Sight<'_>,
    find: &mut impl FnMut(&Arc<Group>) -> Result<Option<Spot>, E>,
) -> Result<Option<Head<'a>>, E> {
    let mut first: Option<Head<'a>> = None;
    for line in lines {
        let head = line.first(sight, find)?;
        first = older(first, head);
    }
    Ok(first)
}

/// Returns the older one.
pub(crate) fn older<'a>(left: Option<Head<'a>>, right: Option<Head<'a>>) -> Option<Head<'a>> {
    let both = left.into_iter().chain(right);
    both.min_by_key(|head| head.spot.seq)
}
