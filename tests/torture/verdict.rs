//! Compares what callers were told with what there is.

use std::collections::BTreeMap;
use std::fmt;

use foreman_stub::Stub;
use foreman_tests::{Books, Exchange, Foreman, Row};
use serde_json::Value;

use crate::history::{Entry, History, Kind};
use crate::load::{ask, text};
use crate::overlap;

/// What came of a torture.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) kills: u64,
    pub(crate) seconds: u64,
    requests: u64,
    /// Requests of which their callers were told anything that promises a job.
    acknowledged: u64,
    /// Requests whose callers got the whole answer.
    answered: u64,
    /// Requests of which their callers know nothing.
    unknown: u64,
    /// Jobs that were done although their callers were cut off.
    recovered: u64,
    /// Jobs that were found running at some crash.
    crashed: u64,
    /// Jobs that were given up because they ran at too many.
    poisoned: u64,
    embeds: u64,
    embeds_lost: u64,
    /// The most chats that were open at the target at once, whoever sent them.
    at_once: usize,
    /// The same of one life of foreman; more than it has slots is a fault.
    at_once_of_a_life: usize,
    /// What must not be, by kind.
    faults: BTreeMap<&'static str, u64>,
    /// The first of them in full.
    examples: Vec<String>,
}

/// These must not be.
const KINDS: [&str; 11] = [
    "lost",
    "unexpected",
    "wrong answer",
    "twice",
    "wrong owner",
    "mixed",
    "dishonest cancel",
    "odd",
    "conservation",
    "an ended job changed",
    "at once",
];

/// So many examples are shown.
const SHOWN: usize = 5;

impl Tally {
    pub(crate) fn blame(&mut self, kind: &'static str, example: &str) {
        *self.faults.entry(kind).or_default() += 1;
        if self.examples.len() < SHOWN {
            self.examples.push(format!("{kind}: {example}"));
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.seconds += other.seconds;
        self.requests += other.requests;
        self.acknowledged += other.acknowledged;
        self.answered += other.answered;
        self.unknown += other.unknown;
        self.recovered += other.recovered;
        self.crashed += other.crashed;
        self.poisoned += other.poisoned;
        self.embeds += other.embeds;
        self.embeds_lost += other.embeds_lost;
        self.at_once = self.at_once.max(other.at_once);
        self.at_once_of_a_life = self.at_once_of_a_life.max(other.at_once_of_a_life);
        for (kind, count) in &other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills in {} s; {} requests: {} acknowledged, {} answered, {} unknown; \
             {} recovered, {} found running at a crash, {} poisoned; {} embeddings, {} cut off; \
             at most {} chats at once at the target by one life of foreman, {} with those that \
             a killed one left;",
            self.kills,
            self.seconds,
            self.requests,
            self.acknowledged,
            self.answered,
            self.unknown,
            self.recovered,
            self.crashed,
            self.poisoned,
            self.embeds,
            self.embeds_lost,
            self.at_once_of_a_life,
            self.at_once,
        )?;
        for kind in KINDS {
            let count = self.faults.get(kind).copied().unwrap_or_default();
            write!(f, " {kind} {count},")?;
        }
        write!(
            f,
            " database faults {}",
            self.faults.get("database").unwrap_or(&0)
        )?;
        for example in &self.examples {
            write!(f, "\n  {example}")?;
        }
        Ok(())
    }
}

/// Judges everything that was asked.
pub(crate) async fn judge(history: &History, foreman: &Foreman, stub: &Stub, tally: &mut Tally) {
    let books = Books::read(&foreman.database());
    let mut jobs: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in books.rows {
        let prompt = row.request.as_deref().and_then(prompt).unwrap_or_default();
        jobs.entry(prompt).or_default().push(row);
    }
    let record = stub.record();
    let mut runs: BTreeMap<String, u64> = BTreeMap::new();
    for request in record.on("/api/chat") {
        if let Some(prompt) = prompt(request.body_text().as_bytes()) {
            // They are in the order of their arrival.
            runs.insert(prompt, request.order);
        }
    }
    let overlap = overlap::count(&record);
    tally.at_once = overlap.of_all;
    tally.at_once_of_a_life = overlap.of_one_life;
    for fault in &overlap.faults {
        tally.blame("at once", fault);
    }
    let embeds = history.embeds();
    tally.embeds = embeds.right;
    tally.embeds_lost = embeds.lost;
    for _ in 0..embeds.wrong {
        tally.blame("wrong answer", "an embedding");
    }
    for entry in history.take() {
        let rows = jobs.remove(&entry.prompt).unwrap_or_default();
        told(&entry, runs.get(&entry.prompt).copied(), tally);
        kept(&entry, &rows, tally);
        stored(&entry, &rows, foreman, tally).await;
    }
    for (prompt, rows) in jobs {
        tally.blame("unexpected", &format!("{prompt:?} {rows:?}"));
    }
}

/// Judges what a caller was told.
fn told(entry: &Entry, last_run: Option<u64>, tally: &mut Tally) {
    tally.requests += 1;
    tally.acknowledged += u64::from(!entry.jobs.is_empty());
    tally.answered += u64::from(!entry.answers.is_empty());
    tally.unknown += u64::from(entry.jobs.is_empty() && entry.answers.is_empty());
    for oddity in &entry.oddities {
        tally.blame("odd", &format!("{oddity}, {entry:?}"));
    }
    for (answer, at) in &entry.answers {
        if *answer != entry.expected() {
            tally.blame("wrong answer", &format!("{entry:?}"));
        }
        if last_run.is_some_and(|order| order > *at) {
            tally.blame("twice", &format!("{entry:?}"));
        }
    }
    for part in &entry.parts {
        if !entry.expected().starts_with(part.as_str()) {
            tally.blame("mixed", &format!("{entry:?}"));
        }
    }
}

/// Judges the jobs that there are of a request.
fn kept(entry: &Entry, rows: &[Row], tally: &mut Tally) {
    let most = match entry.kind {
        Kind::Keyed | Kind::Async => 1,
        Kind::Stream | Kind::Whole | Kind::Cancel | Kind::Leave => entry.sends,
    };
    if rows.len() > most {
        tally.blame("unexpected", &format!("{entry:?} {rows:?}"));
    }
    for id in &entry.jobs {
        match rows.iter().find(|row| row.id == *id) {
            None => tally.blame("lost", &format!("{entry:?}")),
            Some(row) if row.state == "done" => {}
            // It was running at three crashes by chance, and its caller is told so.
            Some(row) if row.state == "failed" && row.crashes == 3 => {}
            Some(row) if entry.kind == Kind::Cancel && row.state == "cancelled" => {}
            Some(row) => tally.blame("lost", &format!("{entry:?} {row:?}")),
        }
    }
    for row in rows {
        tally.crashed += u64::from(row.crashes > 0);
        tally.poisoned += u64::from(row.state == "failed");
        if row.caller.as_deref() != Some(format!("c{}", entry.owner).as_str()) {
            tally.blame("wrong owner", &format!("{entry:?} {row:?}"));
        }
        if entry.cancelled && row.state != "cancelled" {
            tally.blame("dishonest cancel", &format!("{entry:?} {row:?}"));
        }
        if row.state == "done" && entry.answers.is_empty() && entry.kind != Kind::Cancel {
            tally.recovered += 1;
        }
    }
}

/// Judges the answers that were kept.
async fn stored(entry: &Entry, rows: &[Row], foreman: &Foreman, tally: &mut Tally) {
    for row in rows.iter().filter(|row| row.state == "done") {
        let path = format!("/foreman/v1/jobs/{}/output", row.id);
        let bytes = ask("GET", &path, entry.owner);
        let reply = Exchange::send_raw(foreman.url(), &bytes)
            .await
            .reply()
            .await;
        if reply.status() != 200 || text(&reply.text()) != Some(entry.expected()) {
            tally.blame(
                "wrong answer",
                &format!("{entry:?} {row:?} {}", reply.text()),
            );
        }
    }
}

fn prompt(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let content = body.pointer("/messages/0/content")?;
    Some(content.as_str()?.to_owned())
}
