//! A running job's output, read by its callers at their own pace.
//!
//! The worker writes, callers read; a caller that reads slowly, or not at all, delays nobody. Once a
//! caller is attached, what was published is taken as seen: the output of another attempt never
//! follows it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use foreman_job::{FailureKind, JobFailure};
use foreman_store::AnswerHead;
use tokio::sync::Notify;

/// Those who wait for much output are woken when so many more bytes are there.
const STEP: u64 = 1024 * 1024;

/// What precedes the body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Status and headers of the target.
    pub head: AnswerHead,
    /// Failed attempts before this answer.
    pub attempt: u32,
    /// How long the job waited, from its acceptance to the claim that led to this answer.
    pub queued: Duration,
    /// Why the job failed, where the answer is the target's own refusal.
    pub failure: Option<JobFailure>,
}

/// How the output of a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With everything the target had to say.
    Complete,
    /// Before it was complete, or before it began.
    Failed(JobFailure),
    /// It was cancelled.
    Cancelled,
    /// Foreman shuts down; the job stays in the queue and runs after the restart.
    ShuttingDown,
    /// The store does not know whether the end was kept.
    Unknown,
}

/// The next thing a reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// The answer begins.
    Opening(Opening),
    /// A chunk, as the target sent it.
    Chunk(Bytes),
    /// Nothing follows; the number of failed attempts is told with it.
    Ending(Ending, u32),
}

#[derive(Debug, Default)]
struct State {
    /// Grows when an attempt's output is forgotten; a reader of the old one must not go on.
    generation: u32,
    /// Boxed like the ending: both are large, and a job that waits has neither.
    opening: Option<Box<Opening>>,
    chunks: Vec<Bytes>,
    size: u64,
    ending: Option<Box<(Ending, u32)>>,
    /// Whether nobody may read yet, since the job may not be durable.
    sealed: bool,
}

/// The output of one job.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    state: Mutex<State>,
    changed: Notify,
    /// Rung at each [`STEP`].
    grown: Notify,
}

/// Where a reader stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cursor {
    generation: u32,
    opened: bool,
    chunk: usize,
}

impl Spool {
    /// Makes one that nobody can read before it is [unsealed](Self::unseal).
    pub(crate) fn sealed() -> Self {
        let spool = Self::default();
        spool.lock().sealed = true;
        spool
    }

    /// Lets readers in: the job is durable, or never will be.
    pub(crate) fn unseal(&self) {
        self.lock().sealed = false;
        self.changed.notify_waiters();
    }

    /// Publishes the beginning of an answer.
    pub(crate) fn open(&self, opening: Opening) {
        self.lock().opening = Some(Box::new(opening));
        self.changed.notify_waiters();
    }

    /// Publishes a chunk, after the beginning of the answer where that was not published yet;
    /// returns the number of bytes published so far.
    pub(crate) fn push(&self, opening: impl FnOnce() -> Opening, chunk: Bytes) -> u64 {
        let mut state = self.lock();
        if state.opening.is_none() {
            state.opening = Some(Box::new(opening()));
        }
        let before = state.size;
        state.size = before.saturating_add(len(&chunk));
        state.chunks.push(chunk);
        let size = state.size;
        drop(state);
        self.changed.notify_waiters();
        if size / STEP != before / STEP {
            self.grown.notify_waiters();
        }
        size
    }

    /// Publishes the end, with the last chunk where it was held back; the first end counts.
    pub(crate) fn end(&self, last: Option<Bytes>, ending: Ending, attempt: u32) {
        {
            let mut state = self.lock();
            if state.ending.is_some() {
                return;
            }
            if let Some(last) = last {
                state.size = state.size.saturating_add(len(&last));
                state.chunks.push(last);
            }
            state.ending = Some(Box::new((ending, attempt)));
        }
        self.changed.notify_waiters();
    }

    /// Tells waiting readers that something beside the output has changed.
    pub(crate) fn touch(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until a condition on this output holds.
    pub(crate) async fn until(&self, condition: impl Fn() -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if condition() {
                return;
            }
            changed.await;
        }
    }

    /// Waits until there is much more output than so many bytes: up to twice [`STEP`].
    pub(crate) async fn until_grown(&self, size: u64) {
        let enough = size.saturating_add(STEP);
        loop {
            let grown = self.grown.notified();
            tokio::pin!(grown);
            grown.as_mut().enable();
            if self.size() >= enough {
                return;
            }
            grown.await;
        }
    }

    /// Forgets the output of an attempt that nobody saw.
    pub(crate) fn reset(&self) {
        let mut state = self.lock();
        state.generation = state.generation.wrapping_add(1);
        state.opening = None;
        state.chunks.clear();
        state.size = 0;
    }

    /// Tells whether anything of an answer was published.
    pub(crate) fn is_open(&self) -> bool {
        self.lock().opening.is_some()
    }

    /// Returns the published head.
    pub(crate) fn head(&self) -> Option<AnswerHead> {
        let state = self.lock();
        state.opening.as_ref().map(|opening| opening.head.clone())
    }

    /// Returns the number of published bytes.
    pub(crate) fn size(&self) -> u64 {
        self.lock().size
    }

    /// Returns the number of published chunks.
    pub(crate) fn count(&self) -> usize {
        self.lock().chunks.len()
    }

    /// Returns the published chunks from one on; they share memory with the spool.
    pub(crate) fn chunks_from(&self, first: usize) -> Vec<Bytes> {
        let state = self.lock();
        state.chunks.get(first..).unwrap_or_default().to_vec()
    }

    /// Returns the whole length of the body once it is known.
    pub(crate) fn final_size(&self) -> Option<u64> {
        let state = self.lock();
        state.ending.as_ref().map(|_| state.size)
    }

    /// Returns the item at the cursor without waiting, and moves on.
    pub(crate) fn take(&self, cursor: &mut Cursor) -> Option<Item> {
        let state = self.lock();
        if state.sealed {
            return None;
        }
        if !cursor.opened
            && let Some(opening) = &state.opening
        {
            cursor.opened = true;
            cursor.generation = state.generation;
            return Some(Item::Opening(Opening::clone(opening)));
        }
        if cursor.opened && cursor.generation != state.generation {
            return Some(Item::Ending(Ending::Failed(begun_again()), 0));
        }
        if cursor.opened
            && let Some(chunk) = state.chunks.get(cursor.chunk)
        {
            cursor.chunk += 1;
            return Some(Item::Chunk(chunk.clone()));
        }
        state
            .ending
            .as_deref()
            .map(|(ending, attempt)| Item::Ending(ending.clone(), *attempt))
    }

    fn has(&self, cursor: &Cursor) -> bool {
        let state = self.lock();
        let more = if cursor.opened {
            cursor.generation != state.generation || state.chunks.len() > cursor.chunk
        } else {
            state.opening.is_some()
        };
        !state.sealed && (more || state.ending.is_some())
    }

    /// Waits for the item at the cursor, and moves on.
    ///
    /// # Cancel safety
    ///
    /// The cursor moves only when an item is returned.
    pub(crate) async fn next(&self, cursor: &mut Cursor) -> Item {
        loop {
            // What is there already needs no waiting, and that is most of a quick answer.
            if let Some(item) = self.take(cursor) {
                return item;
            }
            self.ready(cursor).await;
        }
    }

    /// Waits until there is an item at the cursor.
    pub(crate) async fn ready(&self, cursor: &Cursor) {
        loop {
            // Interest is registered before the look, so that no wake-up falls between the two.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.has(cursor) {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begun_again() -> JobFailure {
    JobFailure::new(
        FailureKind::Truncated,
        "the attempt broke off and was begun again",
    )
}

fn len(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn opening() -> Opening {
        Opening {
            head: AnswerHead {
                status: 200,
                headers: [].into(),
            },
            attempt: 0,
            queued: Duration::ZERO,
            failure: None,
        }
    }

    #[tokio::test]
    async fn readers_get_everything_in_order_however_late_they_come() {
        let spool = Spool::default();
        spool.push(opening, Bytes::from_static(b"a"));
        spool.end(Some(Bytes::from_static(b"b")), Ending::Complete, 0);

        let mut cursor = Cursor::default();
        let mut items = Vec::new();
        for _ in 0..4 {
            items.push(spool.next(&mut cursor).await);
        }

        assert_eq!(
            items,
            [
                Item::Opening(opening()),
                Item::Chunk(Bytes::from_static(b"a")),
                Item::Chunk(Bytes::from_static(b"b")),
                Item::Ending(Ending::Complete, 0),
            ]
        );
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let spool = Spool::default();
        let mut cursor = Cursor::default();

        let (item, ()) = tokio::join!(spool.next(&mut cursor), async {
            tokio::task::yield_now().await;
            spool.open(opening());
        });

        assert_eq!(item, Item::Opening(opening()));
    }

    #[tokio::test]
    async fn who_waits_for_much_output_is_woken_when_it_is_there() {
        let spool = Spool::default();
        let piece = Bytes::from(vec![b'x'; 1024]);
        let pushed = AtomicU64::new(0);

        tokio::select! {
            biased;
            () = spool.until_grown(0) => {}
            () = async {
                loop {
                    pushed.store(spool.push(opening, piece.clone()), Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            } => {}
        }

        assert_eq!(pushed.into_inner(), STEP);
    }

    #[test]
    fn the_first_ending_counts() {
        let spool = Spool::default();
        spool.end(None, Ending::Cancelled, 0);
        spool.end(
            None,
            Ending::Failed(JobFailure::new(FailureKind::Stalled, "late")),
            1,
        );

        assert_eq!(
            spool.take(&mut Cursor::default()),
            Some(Item::Ending(Ending::Cancelled, 0))
        );
    }

    #[test]
    fn a_reader_of_a_reset_attempt_does_not_get_the_next_one() {
        let spool = Spool::default();
        let mut cursor = Cursor::default();
        spool.open(opening());
        spool.take(&mut cursor);
        spool.reset();
        spool.push(opening, Bytes::from_static(b"new"));

        let item = spool.take(&mut cursor);

        assert!(
            matches!(item, Some(Item::Ending(Ending::Failed(_), _))),
            "{item:?}"
        );
    }

    #[tokio::test]
    async fn nothing_is_read_before_the_seal_is_taken_off() {
        let spool = Spool::sealed();
        spool.open(opening());
        spool.end(None, Ending::Complete, 0);
        assert_eq!(spool.take(&mut Cursor::default()), None);
        let mut cursor = Cursor::default();

        let (item, ()) = tokio::join!(spool.next(&mut cursor), async {
            tokio::task::yield_now().await;
            spool.unseal();
        });

        assert_eq!(item, Item::Opening(opening()));
    }

    #[test]
    fn nothing_of_a_reset_attempt_is_left() {
        let spool = Spool::default();
        spool.push(opening, Bytes::from_static(b"old"));
        spool.reset();

        assert_eq!(spool.take(&mut Cursor::default()), None);
        assert_eq!(spool.size(), 0);
    }
}
