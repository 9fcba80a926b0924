//! An exchange that begins while its job is still being accepted or claimed.
//!
//! When the worker waits and a request comes, that is the next job, as far as anybody can tell; and
//! when jobs wait, the store can foresee which one it will claim. So the job is sent to the target
//! at once, and the store does its work beside the target's in place of before it. Whoever brings a
//! request to a worker that waits sends it by itself, and hands the exchange to the worker then.
//! Nothing else happens early: nobody is shown anything of the answer before the acceptance is
//! durable and the job is claimed. If it is not accepted, or another job is claimed, the exchange
//! is dropped, which stops the target's work.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foreman_job::{Endpoint, JobId, PickReason, RunnerKey};
use foreman_ollama::{
    Deadlines, KeepAlive, OllamaClient, RequestHead, TargetError, TargetRequest, TargetResponse,
};
use foreman_store::{Claimed, NewJob, StoreHealth, StoredRequest};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::attempt::target_request;
use crate::claiming::look;
use crate::handle::Shared;
use crate::residency::Disturbed;

/// What the client says, or how it panicked.
type Begun = Result<Result<TargetResponse, TargetError>, Box<dyn Any + Send>>;

/// What a worker that waits leaves for who brings the next job: that can be sent at once, where it
/// needs the runner in use.
pub(crate) struct Offer {
    pub(crate) runner: RunnerKey,
    pub(crate) disturbed: Disturbed,
    pub(crate) client: Arc<dyn OllamaClient>,
    pub(crate) keep_alive: KeepAlive,
    pub(crate) deadlines: Deadlines,
}

/// A job that is about to be accepted, and is then claimed if nothing else comes.
#[derive(Debug)]
pub(crate) struct Guess {
    /// What its claim will say; its place is not known yet.
    pub(crate) job: Claimed,
    /// Its exchange, which has begun.
    pub(crate) early: Box<Early>,
    /// Set when it is not accepted.
    pub(crate) dropped: CancellationToken,
}

/// Where the worker is told what will probably come next.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    wanted: Mutex<Option<(Offer, oneshot::Sender<Guess>)>>,
    /// Requests that are being accepted; those that are accepted together are one.
    entering: AtomicU32,
}

/// What is being accepted; dropped before it [is](Self::accepted), it is not.
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

impl Offer {
    /// Begins with a job, where it needs the model in use and new jobs are taken.
    pub(crate) fn begin(
        self,
        shared: &Shared,
        (id, endpoint, runner): (JobId, Endpoint, &RunnerKey),
        request: &StoredRequest,
    ) -> Option<Box<Early>> {
        let is_in_use =
            self.runner == *runner && !self.disturbed.is_now() && !shared.pauses.covers(runner);
        let is_taken = *shared.store.health().borrow() == StoreHealth::Ok;
        if !is_in_use || !is_taken {
            return None;
        }
        let head = shared.head_of(id, endpoint, request);
        let pin = (head.as_ref(), &self.keep_alive);
        let request = target_request(endpoint, request, pin, self.deadlines);
        Some(Box::new(Early::begin(id, self.client, (head, request))))
    }
}

impl Guesses {
    /// Asks for the next guess; one that was asked for before does not come any more. Without an
    /// offer none comes.
    pub(crate) fn wait(&self, offer: Option<Offer>) -> oneshot::Receiver<Guess> {
        let (sender, receiver) = oneshot::channel();
        *self.wanted() = offer.map(|offer| (offer, sender));
        receiver
    }

    /// Notes that a job is being accepted. Where the worker waits for one and no other comes before,
    /// the job is sent to the target, and then named to the worker.
    pub(crate) async fn enter(&self, shared: &Shared, job: &NewJob) -> Entering<'_> {
        let (mut entering, is_alone) = self.begin();
        if let Some((offer, worker)) = self.take(job, is_alone)
            && let Some(mut early) =
                offer.begin(shared, (job.id, job.endpoint, &job.runner), &job.request)
        {
            early.send().await;
            entering.guess = name(worker, job, early);
        }
        entering
    }

    /// Notes that jobs are being accepted together: none of them is sent before its claim, nor is one
    /// that comes meanwhile, since one of these may be claimed first.
    pub(crate) fn enter_all(&self, jobs: &[NewJob]) -> Entering<'_> {
        let (entering, _) = self.begin();
        if jobs.iter().any(|job| job.not_before.is_none()) {
            *self.wanted() = None;
        }
        entering
    }

    /// Counts an acceptance; tells whether it is the only one.
    fn begin(&self) -> (Entering<'_>, bool) {
        let is_alone = self.entering.fetch_add(1, Ordering::AcqRel) == 0;
        let entering = Entering {
            guesses: self,
            guess: None,
        };
        (entering, is_alone)
    }

    /// Takes the offer for a job; if it is none for this one, it is for no later one either, since
    /// this one is claimed first.
    fn take(&self, job: &NewJob, is_alone: bool) -> Option<(Offer, oneshot::Sender<Guess>)> {
        // One that rests is not claimed yet.
        if job.not_before.is_some() {
            return None;
        }
        let offer = self.wanted().take();
        // A key may name a job that is there already.
        offer.filter(|(_, worker)| is_alone && job.idempotency.is_none() && !worker.is_closed())
    }

    fn wanted(&self) -> MutexGuard<'_, Option<(Offer, oneshot::Sender<Guess>)>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names a job that was sent to the worker.
fn name(worker: oneshot::Sender<Guess>, job: &NewJob, early: Box<Early>) -> Option<DropGuard> {
    let dropped = CancellationToken::new();
    let (reason, now) = (PickReason::Oldest, job.created_at);
    let guess = Guess {
        job: Claimed::first(&job.to_job(0), job.request.clone(), reason, now)?,
        early,
        dropped: dropped.clone(),
    };
    worker.send(guess).ok()?;
    Some(dropped.drop_guard())
}

impl Entering<'_> {
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
    fn begin(
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

    /// Writes the request to a connection that waits for one, or begins to make one.
    async fn send(&mut self) {
        look(&mut self.exchange).await;
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

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer")
            .field("runner", &self.runner)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Early {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Early")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
