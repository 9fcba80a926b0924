//! How long jobs run and models load, learned from those that ended.

use std::collections::BTreeMap;
use std::time::Duration;

use foreman_job::RunnerKey;

/// What the latest counts at least.
const WEIGHT: f64 = 0.2;

/// Fewer jobs than this say nothing about the next.
const ENOUGH: u32 = 3;

/// Runners that are remembered: callers can make more of them with load options.
const REMEMBERED: usize = 1024;

/// How long jobs run and models load.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    runners: BTreeMap<RunnerKey, Times>,
    /// The mean over all runners.
    run: Mean,
    notes: u64,
}

#[derive(Debug, Default)]
struct Times {
    run: Mean,
    load: Mean,
    /// When something was noted last, in notes.
    noted: u64,
}

/// A mean in which the latest counts most.
#[derive(Debug, Default, Clone, Copy)]
struct Mean {
    seconds: f64,
    samples: u32,
}

impl Learned {
    /// Notes a job that was answered: how long it ran, and how long its model took to load.
    pub(crate) fn note(&mut self, runner: &RunnerKey, run: Duration, load: Option<Duration>) {
        self.notes = self.notes.saturating_add(1);
        self.run.note(run);
        let times = self.runners.entry(runner.clone()).or_default();
        times.noted = self.notes;
        times.run.note(run);
        if let Some(load) = load {
            times.load.note(load);
        }
        if self.runners.len() > REMEMBERED {
            let oldest = self.runners.iter().min_by_key(|(_, times)| times.noted);
            let oldest = oldest.map(|(runner, _)| runner.clone());
            oldest.map(|runner| self.runners.remove(&runner));
        }
    }

    /// Returns how long a job of a runner runs; none while too few did.
    pub(crate) fn run(&self, runner: &RunnerKey) -> Option<Duration> {
        self.runners.get(runner)?.run.known(ENOUGH)
    }

    /// Returns how long a runner takes to load; none while it never did.
    pub(crate) fn load(&self, runner: &RunnerKey) -> Option<Duration> {
        self.runners.get(runner)?.load.known(1)
    }

    /// Returns how long a job of a runner may run, from whatever is known.
    pub(crate) fn guess(&self, runner: &RunnerKey) -> Option<Duration> {
        let own = self.runners.get(runner).and_then(|it| it.run.known(1));
        own.or_else(|| self.any())
    }

    /// Returns how long jobs run, whatever their runner.
    pub(crate) fn any(&self) -> Option<Duration> {
        self.run.known(1)
    }
}

impl Mean {
    fn note(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let weight = (1.0 / (f64::from(self.samples) + 1.0)).max(WEIGHT);
        self.seconds += (seconds - self.seconds) * weight;
        self.samples = self.samples.saturating_add(1);
    }

    fn known(&self, least: u32) -> Option<Duration> {
        (self.samples >= least).then(|| Duration::from_secs_f64(self.seconds.max(0.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn runner(number: usize) -> RunnerKey {
        RunnerKey::new(&number.to_string(), "")
    }

    #[test]
    fn a_runner_is_known_after_some_jobs_and_follows_the_latest() {
        let mut learned = Learned::default();
        learned.note(&runner(1), seconds(2), Some(seconds(9)));
        learned.note(&runner(1), seconds(4), None);
        let early = learned.run(&runner(1));
        learned.note(&runner(1), seconds(6), None);
        let mean = learned.run(&runner(1));
        for _ in 0..50 {
            learned.note(&runner(1), seconds(60), None);
        }

        assert_eq!((early, mean), (None, Some(seconds(4))));
        let late = learned.run(&runner(1)).unwrap();
        assert!(late > seconds(59) && late <= seconds(60), "{late:?}");
        assert_eq!(learned.load(&runner(1)), Some(seconds(9)));
    }

    #[test]
    fn what_never_ran_is_guessed_by_the_others_and_not_known() {
        let mut learned = Learned::default();
        assert_eq!(learned.guess(&runner(2)), None);

        learned.note(&runner(1), seconds(5), None);

        assert_eq!(learned.guess(&runner(2)), Some(seconds(5)));
        assert_eq!(
            (learned.run(&runner(2)), learned.load(&runner(1))),
            (None, None)
        );
    }

    #[test]
    fn runners_without_number_do_not_fill_the_memory() {
        let mut learned = Learned::default();
        for number in 0..REMEMBERED + 10 {
            learned.note(&runner(number), seconds(1), None);
        }

        assert_eq!(learned.runners.len(), REMEMBERED);
        assert!(learned.guess(&runner(0)).is_some());
    }
}
