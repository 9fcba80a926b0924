//! The callers' end of the write lane.

use std::fmt;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, oneshot};

use super::Tx;
use super::command::{Call, Load};
use super::thread::{Message, Shared, Writer};
use crate::{StoreError, UnknownCause};

/// Commands that may wait at a time: some groups' worth; more callers wait for their turn.
const WAITING: usize = 1024;

/// Sends commands to the thread that writes.
pub(in crate::sqlite) struct WriteLane {
    /// None once the lane is dropped.
    sender: Option<Sender<Message>>,
    waiting: Arc<Semaphore>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl WriteLane {
    /// Starts the thread.
    pub(in crate::sqlite) fn start(writer: Writer) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let shared = writer.shared();
        let thread = std::thread::Builder::new()
            .name("foreman-store".to_owned())
            .spawn(move || writer.run(&receiver))?;
        Ok(Self {
            sender: Some(sender),
            waiting: Arc::new(Semaphore::new(WAITING)),
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Has something done in a transaction; it may be run again when the transaction was undone.
    pub(in crate::sqlite) async fn call<T, F>(&self, load: Load, run: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let permit = Arc::clone(&self.waiting)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.send(Message::Run(Box::new(Call {
            load,
            run,
            outcome: None,
            reply,
            _permit: permit,
        })))?;
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// Writes out what was sent before, and ends the thread.
    pub(in crate::sqlite) async fn close(&self) -> Result<(), StoreError> {
        if self.waiting.is_closed() {
            return Err(StoreError::Closed);
        }
        self.waiting.close();
        let (reply, answer) = oneshot::channel();
        self.send(Message::Close(reply))?;
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    pub(in crate::sqlite) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn send(&self, message: Message) -> Result<(), StoreError> {
        match &self.sender {
            Some(sender) => sender.send(message).map_err(|_| self.gone()),
            None => Err(StoreError::Closed),
        }
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

/// Lets the thread finish what it was sent, so that the database is free for the next owner.
impl Drop for WriteLane {
    fn drop(&mut self) {
        drop(self.sender.take());
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the writer has panicked");
        }
    }
}

impl fmt::Debug for WriteLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteLane").finish_non_exhaustive()
    }
}
