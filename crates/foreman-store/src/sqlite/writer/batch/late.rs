//! A claim that is not written yet: the end of its run may come with it, and then both are one change
//! of a row.
//!
//! The row is written before anybody could look at it, so only the writer knows of this.

use foreman_job::{Job, JobId, JobState};
use rusqlite::Connection;

use crate::StoreError;
use crate::sqlite::rows::{self, Change};

/// The claim that is held, if one is.
#[derive(Debug, Default)]
pub(super) struct Late {
    held: Option<(Job, Change)>,
    /// How many were, and how many rows were changed by writing them late.
    claims: u64,
    rows: u64,
    mode: Mode,
}

/// Whether claims are held.
#[derive(Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Held,
    /// Each one is written by its command.
    AtOnce,
    /// One could not be written.
    Failed,
}

impl Late {
    /// Where nothing is late.
    pub(super) fn at_once() -> Self {
        Self {
            mode: Mode::AtOnce,
            ..Self::default()
        }
    }

    /// Holds a claim.
    pub(super) fn claim(
        &mut self,
        conn: &Connection,
        job: &Job,
        change: Change,
    ) -> Result<(), StoreError> {
        self.catch_up(conn)?;
        if self.mode == Mode::AtOnce {
            return rows::write(conn, job, change);
        }
        self.held = Some((job.clone(), change));
        self.claims = self.claims.saturating_add(1);
        Ok(())
    }

    /// Writes a change of a job; with its claim, where that is held and the job is done.
    pub(super) fn write(
        &mut self,
        conn: &Connection,
        job: &Job,
        change: Change,
    ) -> Result<(), StoreError> {
        let is_done = job.progress.state == JobState::Done;
        let claim = self
            .held
            .take_if(|(claimed, _)| is_done && claimed.seq == job.seq);
        if let Some((_, Change { claim, .. })) = claim {
            let written = rows::write(conn, job, Change { claim, ..change });
            return self.noted(written);
        }
        self.catch_up(conn)?;
        rows::write(conn, job, change)
    }

    /// Writes what is held.
    pub(super) fn catch_up(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let Some((job, change)) = self.held.take() else {
            return Ok(());
        };
        let before = conn.total_changes();
        let written = rows::write(conn, &job, change);
        self.noted(written)?;
        let rows = conn.total_changes().saturating_sub(before);
        self.rows = self.rows.saturating_add(rows);
        Ok(())
    }

    /// Notes whether a claim was written that had been held.
    fn noted(&mut self, written: Result<(), StoreError>) -> Result<(), StoreError> {
        if written.is_err() {
            self.mode = Mode::Failed;
        }
        written
    }

    /// Returns the job whose claim is held, if it is this one.
    pub(super) fn held(&self, id: JobId) -> Option<&Job> {
        let (job, _) = self.held.as_ref()?;
        (job.id == id).then_some(job)
    }

    /// Tells whether a claim could not be written late: then it is lost, and its command is to be run
    /// again.
    pub(super) fn has_failed(&self) -> bool {
        self.mode == Mode::Failed
    }

    /// Counts the changes so far: a claim when it is made, and not when it is written late.
    pub(super) fn changes(&self, conn: &Connection) -> u64 {
        let rows = conn.total_changes().saturating_sub(self.rows);
        rows.saturating_add(self.claims)
    }
}
