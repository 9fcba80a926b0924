//! An exchange that begins while its job is still being accepted or claimed.
//!
//! When the worker waits and a request comes, that is the next job, as far as anybody can tell; and
//! when jobs wait, the store can foresee which one it will claim. So the job is sent to the target
//! at once, and the store does its work beside the target's in place of before it.
//! Nothing else happens early: nobody is shown anything of the answer before the acceptance is
//! durable and the job is claimed. If it is not accepted, or another job is claimed, the exchange
//! is dropped, which stops the target's work.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foreman_job::{JobId, PickReason};
use foreman_ollama::{OllamaClient, RequestHead, TargetError, TargetRequest, TargetResponse};
use foreman_store::{Claimed, NewJob};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What the client says, or how it panicked.
type Begun = Result<Result<TargetResponse, TargetError>, Box<dyn Any + Send>>;

/// A job that is about to be accepted, and is then claimed if nothing else comes.
#[derive(Debug)]
pub(crate) struct Guess {
    /// What its claim will say; its place is not known yet.
    pub(crate) job: Claimed,
    /// Set when it is not accepted.
    pub(crate) dropped: CancellationToken,
}

/// Where the worker is told what will probably come next.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    wanted: Mutex<Option<oneshot::Sender<Guess>>>,
    /// Requests that are being accepted.
    entering: AtomicU32,
}

/// A request that is being accepted; dropped before it [is](Self::accepted), it is not.
#[derive(Debug)]
pub(crate) struct Entering<'a> {
    guesses: &'a Guesses,
    guess: Option<DropGuard>,
}

/// The exchange of a job that is not claimed yet.
pub(crate) struct Early {
    id: JobId,
    began: Instant,
    /// What scheduling needs of its request; none when it cannot be read.
    head: Option<RequestHead>,
    exchange: MaybeDone<BoxFuture<'static, Begun>>,
}

impl Guesses {
    /// Asks for the next guess; one that was asked for before does not come any more.
    pub(crate) fn wait(&self) -> oneshot::Receiver<Guess> {
        let (sender, receiver) = oneshot::channel();
        *self.wanted() = Some(sender);
        receiver
    }

    /// Notes that a job is being accepted, and names it to the worker where that waits for one and
    /// no other job comes before.
    pub(crate) fn enter(&self, job: &NewJob) -> Entering<'_> {
        let is_alone = self.entering.fetch_add(1, Ordering::AcqRel) == 0;
        // A key may name a job that is there already.
        let is_next = is_alone && job.not_before.is_none() && job.idempotency.is_none();
        Entering {
            guesses: self,
            guess: if is_next { self.name(job) } else { None },
        }
    }

    fn name(&self, job: &NewJob) -> Option<DropGuard> {
        let worker = self.wanted().take()?;
        let dropped = CancellationToken::new();
        let (reason, now) = (PickReason::Oldest, job.created_at);
        let guess = Guess {
            job: Claimed::first(&job.to_job(0), job.request.clone(), reason, now)?,
            dropped: dropped.clone(),
        };
        worker.send(guess).ok()?;
        Some(dropped.drop_guard())
    }

    fn wanted(&self) -> MutexGuard<'_, Option<oneshot::Sender<Guess>>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entering<'_> {
    /// Tells whether the worker was told of it.
    pub(crate) const fn is_named(&self) -> bool {
        self.guess.is_some()
    }

    /// Notes that the job is accepted.
    pub(crate) fn accepted(mut self) {
        if let Some(guess) = self.guess.take() {
            guess.disarm();
        }
    }
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        self.guesses.entering.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Early {
    /// Tells whether the answer comes in one piece, as far as the request says.
    pub(crate) fn is_whole(&self) -> bool {
        self.head.as_ref().is_some_and(|head| !head.stream)
    }

    /// Begins to send a job to the target.
    pub(crate) fn begin(
        id: JobId,
        client: Arc<dyn OllamaClient>,
        (head, request): (Option<RequestHead>, TargetRequest),
    ) -> Self {
        let exchange = async move { client.forward(request).await };
        let exchange = AssertUnwindSafe(exchange).catch_unwind().boxed();
        Self {
            id,
            began: Instant::now(),
            head,
            exchange: maybe_done(exchange),
        }
    }

    /// Works on the exchange until the head of the answer is there.
    ///
    /// # Cancel safety
    ///
    /// What was done of the exchange is kept.
    pub(crate) async fn head_is_there(&mut self) {
        Pin::new(&mut self.exchange).await;
    }

    /// Tells whether the exchange is that of a job.
    pub(crate) fn is_of(&self, id: JobId) -> bool {
        self.id == id
    }

    /// Returns what was read of the request, which is not to be read again.
    pub(crate) const fn take_head(&mut self) -> Option<RequestHead> {
        self.head.take()
    }

    pub(crate) const fn began(&self) -> Instant {
        self.began
    }

    /// Returns the head of the answer; none when it was taken before.
    ///
    /// # Panics
    ///
    /// When the client has panicked: here it is the run that does.
    pub(crate) async fn response(
        mut self: Box<Self>,
    ) -> Option<Result<TargetResponse, TargetError>> {
        let mut exchange = Pin::new(&mut self.exchange);
        exchange.as_mut().await;
        match exchange.take_output()? {
            Ok(response) => Some(response),
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl fmt::Debug for Early {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Early")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
