//! A claim on its way to the store.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use foreman_store::{ClaimRequest, Claimed, SlotTaken, StoreError};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::handle::Shared;

/// How the store answers a claim.
pub(crate) type Claim = Result<Option<Claimed>, StoreError>;

/// A claim that was sent, before everything that is sent later.
pub(crate) struct Claiming {
    answer: Sent<Claim>,
    /// Of a claim that waits for a job to be accepted.
    wait: Option<Wait>,
}

/// A call of the store that was sent; boxed, since what is answered is large.
pub(crate) type Sent<T> = Box<MaybeDone<BoxFuture<'static, T>>>;

/// Sends a call to the store, before everything that is sent later.
pub(crate) async fn sent<T>(call: BoxFuture<'static, T>) -> Sent<T> {
    let mut sent = Box::new(maybe_done(call));
    look(&mut sent).await;
    sent
}

/// Works on something as far as it goes now: what is sent at the first look is sent then.
pub(crate) async fn look(work: &mut (impl Future<Output = ()> + Unpin)) {
    poll_fn(|context| {
        let _is_done = work.poll_unpin(context);
        Poll::Ready(())
    })
    .await;
}

/// How long a claim waits for a job.
struct Wait {
    /// Ends it when it is dropped.
    enough: Option<oneshot::Sender<()>>,
    latest: Instant,
    /// Set when the job that is expected is not accepted.
    dropped: Option<CancellationToken>,
}

impl Claiming {
    /// Sends a claim.
    pub(crate) async fn begin(shared: &Arc<Shared>, wish: ClaimRequest) -> Self {
        let shared = Arc::clone(shared);
        let claim = async move { shared.store.claim(wish).await };
        Self::sent(claim.boxed(), None).await
    }

    /// Sends one that waits, at the latest until some time.
    pub(crate) async fn begin_to_wait(
        shared: &Arc<Shared>,
        wish: ClaimRequest,
        latest: Instant,
    ) -> Self {
        let shared = Arc::clone(shared);
        let (enough, until) = oneshot::channel();
        let claim = async move { shared.store.claim_arrival(wish, until).await };
        let wait = Wait {
            enough: Some(enough),
            latest,
            dropped: None,
        };
        Self::sent(claim.boxed(), Some(wait)).await
    }

    async fn sent(claim: BoxFuture<'static, Claim>, wait: Option<Wait>) -> Self {
        let answer = sent(claim).await;
        Self { answer, wait }
    }

    /// Tells whether it waits for a job, or did: it may have found another one than was expected.
    pub(crate) const fn waits(&self) -> bool {
        self.wait.is_some()
    }

    /// Lets it wait no longer once a job is known not to be accepted.
    pub(crate) fn expect(&mut self, dropped: CancellationToken) {
        if let Some(wait) = &mut self.wait {
            wait.dropped = Some(dropped);
        }
    }

    /// Lets it wait no longer.
    pub(crate) fn enough(&mut self) {
        if let Some(wait) = &mut self.wait {
            drop(wait.enough.take());
        }
    }

    /// Waits for the answer.
    ///
    /// # Cancel safety
    ///
    /// The answer is kept.
    pub(crate) async fn answered(&mut self) {
        tokio::select! {
            biased;
            () = Pin::new(&mut *self.answer) => return,
            () = Wait::ended(self.wait.as_ref()) => {}
        }
        self.enough();
        Pin::new(&mut *self.answer).await;
    }

    /// Returns the answer.
    pub(crate) async fn answer(mut self) -> Claim {
        self.answered().await;
        Pin::new(&mut *self.answer)
            .take_output()
            .unwrap_or(Ok(None))
    }
}

impl Wait {
    /// Waits until there is nothing to wait for any more.
    async fn ended(wait: Option<&Self>) {
        let Some(Self {
            enough: Some(_),
            latest,
            dropped,
        }) = wait
        else {
            return pending().await;
        };
        let dropped = async {
            match dropped {
                Some(dropped) => dropped.cancelled().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = dropped => {}
            () = sleep_until(*latest) => {}
        }
    }
}

/// Tells whether a claim that failed so can be made again.
pub(crate) fn may_be_claimed_later(error: &StoreError) -> bool {
    is_slot_taken(error) || is_not_now(error)
}

pub(crate) fn is_slot_taken(error: &StoreError) -> bool {
    matches!(error, StoreError::Database(cause) if cause.is::<SlotTaken>())
}

pub(crate) const fn is_not_now(error: &StoreError) -> bool {
    matches!(error, StoreError::Busy | StoreError::Full(_))
}
