//! The written part of a job's log, in memory.

use bytes::Bytes;
use foreman_job::lifecycle::Epoch;
use foreman_job::{Job, JobState};

use crate::log::{Collector, Span};
use crate::{FIRST_EVENT, LogEntry, LogEvent, LogGap, RunLog, StoreError};

/// What the runs of a job have logged.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The first has the number after [`FIRST_EVENT`].
    entries: Vec<(Epoch, LogEntry)>,
}

impl Journal {
    /// Returns the number of the last event.
    pub(super) fn last(&self) -> u64 {
        self.entries
            .last()
            .map_or(FIRST_EVENT, |(_, entry)| entry.n)
    }

    pub(super) fn next(&self) -> u64 {
        self.last().saturating_add(1)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds events of a run; those that are there already are passed over.
    pub(super) fn append(
        &mut self,
        (attempt, epoch): (u32, Epoch),
        log: &RunLog,
    ) -> Result<(), StoreError> {
        let last = self.last();
        let events = log.from(self.next()).ok_or(LogGap {
            first: log.first,
            last,
        });
        for event in events.map_err(|gap| StoreError::Database(Box::new(gap)))? {
            self.push((attempt, epoch), event.clone());
        }
        Ok(())
    }

    /// Ends a run.
    pub(super) fn settle(
        &mut self,
        job: &Job,
        run: (u32, Epoch),
        log: Option<&RunLog>,
    ) -> Result<(), StoreError> {
        match (job.progress.state.is_terminal(), log) {
            (true, Some(log)) => self.append(run, log),
            (true, None) => {
                self.entries.clear();
                Ok(())
            }
            (false, _) => {
                self.reset(job);
                Ok(())
            }
        }
    }

    /// Notes that a run broke off, if anything of it was logged and the job goes on.
    pub(super) fn reset(&mut self, job: &Job) {
        let epoch = job.progress.epoch;
        let was_logged = self.entries.iter().any(|(of, _)| *of == epoch);
        if was_logged && job.progress.state == JobState::Queued {
            let run = (job.progress.attempt, epoch);
            self.push(run, LogEvent::Reset);
            self.push(run, LogEvent::State(JobState::Queued));
        }
    }

    pub(super) fn read(&self, span: Span) -> Vec<LogEntry> {
        let mut collector = Collector::new(span);
        for (_, entry) in &self.entries {
            collector.take(entry.clone());
        }
        collector.into_entries()
    }

    /// Returns the chunks of one run.
    pub(super) fn chunks(&self, epoch: Epoch) -> Vec<Bytes> {
        self.entries
            .iter()
            .filter(|(of, _)| *of == epoch)
            .filter_map(|(_, entry)| match &entry.event {
                LogEvent::Chunk(bytes) => Some(bytes.clone()),
                LogEvent::State(_) | LogEvent::Reset | LogEvent::End { .. } => None,
            })
            .collect()
    }

    fn push(&mut self, (attempt, epoch): (u32, Epoch), event: LogEvent) {
        let entry = LogEntry {
            n: self.next(),
            attempt,
            event,
        };
        self.entries.push((epoch, entry));
    }
}
