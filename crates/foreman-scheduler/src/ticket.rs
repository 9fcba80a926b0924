//! What a caller holds while its job waits and runs.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use foreman_job::{JobFailure, JobId};

use crate::live::{Attachment, LiveJob};
use crate::spool::{Cursor, Ending, Item, Opening};

/// A caller's place at its job.
///
/// Dropping it before the end says that the caller has left: a queued job is cancelled and never
/// reaches the target, a running one is stopped, unless it was submitted to be finished anyway.
#[derive(Debug)]
pub struct Ticket {
    attachment: Attachment,
    cursor: Cursor,
}

/// Tells how much memory the output of a job takes, as long as somebody reads it.
#[derive(Debug, Clone)]
pub struct OutputSize(Weak<LiveJob>);

impl OutputSize {
    /// Returns the bytes that are held now.
    pub fn bytes(&self) -> u64 {
        self.0.upgrade().map_or(0, |job| job.spool.size())
    }
}

/// The first thing a caller learns.
#[derive(Debug)]
pub enum First {
    /// The answer begins; its body follows.
    Answer(Opening, Output),
    /// The job ended before an answer began.
    Ended {
        /// How.
        ending: Ending,
        /// Attempts that failed.
        attempts: u32,
    },
}

/// The body of an answer.
#[derive(Debug)]
pub struct Output {
    ticket: Ticket,
    ended: bool,
}

impl Ticket {
    pub(crate) fn new(attachment: Attachment) -> Self {
        Self {
            attachment,
            cursor: Cursor::default(),
        }
    }

    /// Returns the job's id.
    pub fn id(&self) -> JobId {
        self.attachment.job().id
    }

    /// Returns how much memory the output takes, now and later.
    pub fn size(&self) -> OutputSize {
        OutputSize(Arc::downgrade(self.attachment.job()))
    }

    /// Waits until [`first`](Self::first) has something to give.
    ///
    /// Waiting like this costs the least memory.
    pub fn ready(&self) -> impl Future<Output = ()> + Send {
        self.attachment.job().spool.ready(&self.cursor)
    }

    /// Waits until the answer begins or the job ends without one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the ticket: the caller has left.
    pub async fn first(mut self) -> First {
        match self.next().await {
            Item::Opening(opening) => {
                let output = Output {
                    ticket: self,
                    ended: false,
                };
                First::Answer(opening, output)
            }
            Item::Ending(ending, attempts) => {
                self.attachment.finish();
                First::Ended { ending, attempts }
            }
            Item::Chunk(_) => {
                // A spool gives its opening before any chunk.
                self.attachment.finish();
                First::Ended {
                    ending: Ending::Unknown,
                    attempts: 0,
                }
            }
        }
    }

    async fn next(&mut self) -> Item {
        self.attachment.job().spool.next(&mut self.cursor).await
    }
}

impl Output {
    /// Returns the job's id.
    pub fn id(&self) -> JobId {
        self.ticket.id()
    }

    /// Returns how much memory the output takes, now and later.
    pub fn size(&self) -> OutputSize {
        self.ticket.size()
    }

    /// Returns the whole length of the body when it is complete already.
    pub fn known_length(&self) -> Option<u64> {
        self.ticket.attachment.job().spool.final_size()
    }

    /// Waits for the next chunk; none after the last one.
    ///
    /// An error is the last item: the output broke off after parts of it were given.
    ///
    /// # Cancel safety
    ///
    /// No chunk is lost when the future is dropped.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, Ending>> {
        if self.ended {
            return None;
        }
        match self.ticket.next().await {
            Item::Chunk(chunk) => Some(Ok(chunk)),
            Item::Ending(ending, _) => {
                self.ended = true;
                self.ticket.attachment.finish();
                match ending {
                    Ending::Complete => None,
                    Ending::Failed(_)
                    | Ending::Cancelled
                    | Ending::ShuttingDown
                    | Ending::Unknown => Some(Err(ending)),
                }
            }
            Item::Opening(_) => Some(Err(Ending::Unknown)),
        }
    }
}

impl Ending {
    /// Returns the failure, where there is one.
    pub const fn failure(&self) -> Option<&JobFailure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Complete | Self::Cancelled | Self::ShuttingDown | Self::Unknown => None,
        }
    }
}
