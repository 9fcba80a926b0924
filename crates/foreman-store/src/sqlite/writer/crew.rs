//! The two threads that write and wait for the disk in turns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::command::Command;
use super::inbox::{Closing, Inbox, Turn};
use super::owner::{Shared, Writer};
use super::sync::Disk;

/// What the threads share.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) inbox: Inbox,
    /// Whoever has the pen uses it; none once the database is closed.
    writer: Mutex<Option<Writer>>,
    disk: Arc<Disk>,
    shared: Arc<Shared>,
    idle: Duration,
}

impl Crew {
    pub(super) fn new(writer: Writer) -> Self {
        writer.begin();
        Self {
            inbox: Inbox::default(),
            disk: Arc::clone(&writer.disk),
            shared: writer.shared(),
            idle: writer.idle,
            writer: Mutex::new(Some(writer)),
        }
    }

    /// Works until it is told to close, or nobody is left who could tell it anything. That is like
    /// a crash: the next owner will check.
    pub(super) fn work(&self) {
        let _guard = FailAtPanic(self);
        loop {
            // What has come meanwhile is made durable together with what waits for the disk.
            let turn = match self.inbox.try_take() {
                Some(turn) => turn,
                None if self.flush() => continue,
                None => match self.inbox.take(self.idle) {
                    Some(turn) => turn,
                    None => return,
                },
            };
            let jobs_wait = match turn {
                Turn::Write(group) => self.write(group),
                Turn::Rest => self.rest(),
                Turn::Close(reply) => return self.close(reply),
            };
            self.inbox.lay_down(jobs_wait);
            self.flush();
        }
    }

    /// Writes a group; tells whether jobs wait afterwards.
    fn write(&self, group: Vec<Box<dyn Command>>) -> bool {
        self.lock().as_mut().is_some_and(|writer| {
            writer.write(group, || self.inbox.more());
            writer.jobs_wait()
        })
    }

    fn rest(&self) -> bool {
        self.lock().as_mut().is_some_and(|writer| {
            writer.rest();
            writer.jobs_wait()
        })
    }

    /// Makes durable what waits for it; tells whether something did that nobody else was at.
    fn flush(&self) -> bool {
        if !self.disk.begin() {
            return false;
        }
        // What has come since the commit becomes durable with it.
        if let Some(group) = self.inbox.take_more() {
            let jobs_wait = self.write(group);
            self.inbox.lay_down(jobs_wait);
        }
        self.inbox.leave();
        self.disk.flush();
        self.inbox.come_back();
        true
    }

    fn close(&self, reply: Closing) {
        let writer = self.lock().take();
        let Some(mut writer) = writer else {
            return;
        };
        let outcome = writer.finish();
        // The lock is free before the caller hears of it.
        drop(writer);
        let _left = reply.send(outcome);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever waits learns of a panic.
struct FailAtPanic<'a>(&'a Crew);

impl Drop for FailAtPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.shared.fail("a thread of the store has panicked");
            self.0.inbox.abandon();
            self.0.disk.abandon();
        }
    }
}
