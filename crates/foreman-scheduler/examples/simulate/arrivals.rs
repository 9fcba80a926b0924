//! Jobs as they arrive: made up, or read from a file.

use std::time::Duration;

use foreman_job::Priority;

/// A job of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// When it arrives, from the start of the trace.
    pub(crate) at: Duration,
    /// The model it needs.
    pub(crate) model: String,
    /// Who asks.
    pub(crate) caller: String,
    /// Its class.
    pub(crate) class: Priority,
    /// How long it runs once its model is loaded.
    pub(crate) run: Duration,
}

/// Jobs in the order in which they arrive, and how long each model takes to load.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// What it is called in the table.
    pub(crate) name: String,
    /// The jobs.
    pub(crate) jobs: Vec<Arrival>,
    /// How long a load takes.
    pub(crate) load: Duration,
}

/// Numbers that look random and are the same every time.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Starts from a seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number below a bound (`SplitMix64`).
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound
    }
}

impl Trace {
    fn new(name: &str, load: u64, mut jobs: Vec<Arrival>) -> Self {
        jobs.sort_by_key(|job| job.at);
        Self {
            name: name.to_owned(),
            jobs,
            load: Duration::from_secs(load),
        }
    }

    /// Reads lines of `milliseconds,model,caller,class,milliseconds of run`; the first is a heading.
    pub(crate) fn read(name: &str, load: Duration, text: &str) -> Option<Self> {
        let lines = text.lines().skip(1).filter(|line| !line.is_empty());
        let jobs: Option<Vec<Arrival>> = lines.map(line).collect();
        let mut trace = Self::new(name, 0, jobs?);
        trace.load = load;
        Some(trace)
    }
}

fn line(line: &str) -> Option<Arrival> {
    let mut cells = line.split(',').map(str::trim);
    let at = Duration::from_millis(cells.next()?.parse().ok()?);
    Some(Arrival {
        at,
        model: cells.next()?.to_owned(),
        caller: cells.next()?.to_owned(),
        class: cells.next()?.parse().ok()?,
        run: Duration::from_millis(cells.next()?.parse().ok()?),
    })
}

fn arrival(at: u64, model: u64, caller: u64, run: u64) -> Arrival {
    Arrival {
        at: Duration::from_millis(at),
        model: format!("model-{model}"),
        caller: format!("caller-{caller}"),
        class: Priority::Normal,
        run: Duration::from_millis(run),
    }
}

/// The six traces of the table. Loads take 20 s, answers some seconds.
pub(crate) fn traces() -> Vec<Trace> {
    vec![
        bursty(),
        alternating(),
        hot(),
        many_callers(),
        mixed(),
        recorded(),
    ]
}

/// Every ten minutes sixty jobs over three models at once, in any order.
fn bursty() -> Trace {
    let mut dice = Dice::new(1);
    let burst = |start: u64| (0..60).map(move |n| start * 600_000 + n * 50);
    let jobs = (0..5).flat_map(burst);
    let jobs = jobs.map(|at| arrival(at, dice.below(3), dice.below(4), 1_000 + dice.below(4_000)));
    Trace::new("bursts", 20, jobs.collect())
}

/// Two models in turn, a job every three seconds: more than first in, first out can do.
fn alternating() -> Trace {
    let mut dice = Dice::new(2);
    let jobs = (0..400).map(|n| arrival(n * 3_000, n % 2, n % 2, 1_000 + dice.below(2_000)));
    Trace::new("alternating", 20, jobs.collect())
}

/// A steady stream for one model, and now and then a job for one of four others.
fn hot() -> Trace {
    let mut dice = Dice::new(3);
    let jobs = (0..500).map(|n| {
        let is_other = dice.below(12) == 0;
        let model = if is_other { 1 + dice.below(4) } else { 0 };
        let caller = u64::from(is_other);
        arrival(n * 4_000, model, caller, 1_000 + dice.below(3_000))
    });
    Trace::new("one hot model", 20, jobs.collect())
}

/// A caller with three hundred jobs at once, and twenty with few each, over five models.
fn many_callers() -> Trace {
    let mut dice = Dice::new(4);
    let mut jobs: Vec<Arrival> = (0..300)
        .map(|n| arrival(n, dice.below(5), 0, 2_000 + dice.below(2_000)))
        .collect();
    for caller in 1..=20 {
        for _ in 0..5 {
            let at = dice.below(600_000);
            jobs.push(arrival(
                at,
                dice.below(5),
                caller,
                2_000 + dice.below(2_000),
            ));
        }
    }
    Trace::new("many callers", 20, jobs)
}

/// All three classes over four models.
fn mixed() -> Trace {
    let mut dice = Dice::new(5);
    let jobs = (0..400).map(|_| {
        let at = dice.below(1_800_000);
        let mut job = arrival(at, dice.below(4), dice.below(5), 1_000 + dice.below(6_000));
        job.class = match dice.below(10) {
            0 => Priority::High,
            1..=6 => Priority::Normal,
            _ => Priority::Low,
        };
        job
    });
    Trace::new("mixed classes", 20, jobs.collect())
}

/// What a queue in front of the stub saw.
fn recorded() -> Trace {
    let text = include_str!("recorded.csv");
    Trace::read("recorded", Duration::from_secs(20), text)
        .unwrap_or_else(|| Trace::new("recorded", 20, Vec::new()))
}

/// Small traces, for which the best order can be found by trying all.
pub(crate) fn small() -> Vec<Trace> {
    (0..24)
        .map(|seed| {
            let mut dice = Dice::new(100 + seed);
            let models = 2 + dice.below(2);
            let spread = match seed % 3 {
                0 => 1,
                1 => 30_000,
                _ => 120_000,
            };
            let jobs = (0..12).map(|_| {
                let at = dice.below(spread);
                arrival(at, dice.below(models), 0, 1_000 + dice.below(5_000))
            });
            Trace::new(&format!("small {seed}"), 20, jobs.collect())
        })
        .collect()
}
