//! The callers' end of the write lane.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};

use super::Tx;
use super::command::{Call, Command, Load, Patient};
use super::crew::Crew;
use super::owner::{Shared, Writer};
use crate::sqlite::own_thread::OwnThread;
use crate::{StoreError, UnknownCause};

/// Commands that may wait at a time: some groups' worth; more callers wait for their turn, but for
/// those of the worker, which has few.
const WAITING: usize = 1024;

/// Where the answer to a command arrives.
pub(in crate::sqlite) type Receiving<T> = oneshot::Receiver<Result<T, StoreError>>;

/// Sends commands to the threads that write.
pub(in crate::sqlite) struct WriteLane {
    threads: [OwnThread; 2],
    crew: Arc<Crew>,
    waiting: Arc<Semaphore>,
    shared: Arc<Shared>,
}

impl WriteLane {
    /// Starts the threads.
    pub(in crate::sqlite) fn start(writer: Writer) -> io::Result<Self> {
        let shared = writer.shared();
        let mut lane = Self {
            threads: Default::default(),
            crew: Arc::new(Crew::new(writer)),
            waiting: Arc::new(Semaphore::new(WAITING)),
            shared,
        };
        for thread in &mut lane.threads {
            let crew = Arc::clone(&lane.crew);
            *thread = OwnThread::start("foreman-store", move || crew.work())?;
        }
        Ok(lane)
    }

    /// Has something done in a transaction; it may be run again when the transaction was undone.
    pub(in crate::sqlite) fn call<T, F>(
        &self,
        load: Load,
        run: F,
    ) -> impl Future<Output = Result<T, StoreError>> + use<'_, T, F>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let begun = self.begin(load, run);
        async move {
            let answer = begun.await?;
            self.answered(answer).await
        }
    }

    /// Sends a command: it is done after those that were sent before.
    pub(in crate::sqlite) fn begin<T, F>(
        &self,
        load: Load,
        run: F,
    ) -> impl Future<Output = Result<Receiving<T>, StoreError>> + use<'_, T, F>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        // In its box before anything is waited for: what is in a future is moved again and again.
        let (mut call, answer) = prepare(load, run, None);
        async move {
            call.permit = self.turn().await?;
            self.send(call)?;
            Ok(answer)
        }
    }

    /// Waits for the answer to a command that was sent.
    pub(in crate::sqlite) async fn answered<T>(
        &self,
        answer: Receiving<T>,
    ) -> Result<T, StoreError> {
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// The same, sent when the future is polled for the first time: for the few whose order counts.
    pub(in crate::sqlite) fn call_now<T, F>(
        &self,
        load: Load,
        run: F,
    ) -> impl Future<Output = Result<T, StoreError>> + use<'_, T, F>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (mut call, answer) = prepare(load, run, None);
        async move {
            call.permit = self.turn_now()?;
            self.send(call)?;
            self.answered(answer).await
        }
    }

    /// Waits for the caller's turn.
    async fn turn(&self) -> Result<Option<OwnedSemaphorePermit>, StoreError> {
        let permit = Arc::clone(&self.waiting).acquire_owned().await;
        permit.map(Some).map_err(|_| StoreError::Closed)
    }

    /// Waits for nobody.
    fn turn_now(&self) -> Result<Option<OwnedSemaphorePermit>, StoreError> {
        match Arc::clone(&self.waiting).try_acquire_owned() {
            Ok(permit) => Ok(Some(permit)),
            Err(TryAcquireError::NoPermits) => Ok(None),
            Err(TryAcquireError::Closed) => Err(StoreError::Closed),
        }
    }

    /// The same for something that may find nothing: it is run again whenever jobs are accepted, in
    /// the transaction that accepts them, until it finds something or the caller has waited enough.
    pub(in crate::sqlite) async fn call_until<T, F>(
        &self,
        load: Load,
        enough: oneshot::Receiver<()>,
        run: F,
    ) -> Result<Option<T>, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<Option<T>, StoreError> + Send + 'static,
    {
        let is_enough = Arc::new(AtomicBool::new(false));
        let (mut call, mut answer) = prepare(load, run, self.turn_now()?);
        call.outcome = Some(Ok(None));
        let enough_flag = Arc::clone(&is_enough);
        self.send(Box::new(Patient {
            call: *call,
            enough: enough_flag,
        }))?;
        tokio::select! {
            biased;
            found = &mut answer => return found.unwrap_or_else(|_| Err(self.gone())),
            _ = enough => is_enough.store(true, Ordering::Release),
        }
        // The writer looks whether others still wait when it has something to do. How it fares
        // with this does not matter.
        let _looked = self.call(load, |_| Ok(())).await;
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// Writes out what was sent before, and ends the threads.
    pub(in crate::sqlite) async fn close(&self) -> Result<(), StoreError> {
        if self.waiting.is_closed() {
            return Err(StoreError::Closed);
        }
        self.waiting.close();
        let (reply, answer) = oneshot::channel();
        self.crew.inbox.close(reply);
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    pub(in crate::sqlite) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn send(&self, command: Box<dyn Command>) -> Result<(), StoreError> {
        self.crew.inbox.send(command).map_err(|_| self.gone())
    }

    /// Says why there is no answer.
    fn gone(&self) -> StoreError {
        if self.waiting.is_closed() {
            StoreError::Closed
        } else {
            self.shared.fail("the writer is gone");
            StoreError::Unknown(UnknownCause("the writer is gone".to_owned()))
        }
    }
}

/// Makes a command; what is answered arrives at the receiver.
fn prepare<T, F>(
    load: Load,
    run: F,
    permit: Option<OwnedSemaphorePermit>,
) -> (Box<Call<T, F>>, Receiving<T>) {
    let (reply, answer) = oneshot::channel();
    let call = Call {
        load,
        run,
        outcome: None,
        reply,
        permit,
    };
    (Box::new(call), answer)
}

/// Lets the threads finish what they were sent, so that the database is free for the next owner.
impl Drop for WriteLane {
    fn drop(&mut self) {
        self.crew.inbox.end();
        self.threads.iter_mut().for_each(OwnThread::join);
    }
}

impl fmt::Debug for WriteLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteLane").finish_non_exhaustive()
    }
}
