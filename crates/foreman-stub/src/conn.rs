//! What a request may do to the connection it came on.

use std::{
    future::pending,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::record::End;

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// In order: a FIN.
    Close,
    /// With a RST.
    Reset,
}

/// Bytes to be written in place of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    /// What is written first, piece by piece.
    pub(crate) pieces: Vec<Bytes>,
    /// What is then written until nobody takes it any more.
    pub(crate) again: Option<Bytes>,
}

/// The handle on one connection.
#[derive(Debug, Default)]
pub(crate) struct Conn {
    /// Its number, from 1.
    pub(crate) number: u64,
    cut: AtomicU8,
    /// What is written before the connection is cut.
    raw: Mutex<Option<Raw>>,
    wake: Notify,
}

impl Conn {
    /// The handle on the connection with that number.
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// Asks for the connection to be cut once what was written is flushed; never returns.
    pub(crate) async fn cut(&self, cut: Cut) {
        self.cut
            .store(if cut == Cut::Reset { 2 } else { 1 }, Ordering::Release);
        self.wake.notify_one();
        pending::<()>().await;
    }

    /// Asks for bytes to be written in place of an answer, and then for a cut; never returns.
    pub(crate) async fn say(&self, raw: Raw) {
        *self.raw.lock().unwrap_or_else(PoisonError::into_inner) = Some(raw);
        self.cut(Cut::Close).await;
    }

    /// Takes what is to be written before the cut.
    pub(crate) fn to_say(&self) -> Option<Raw> {
        self.raw
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Waits until somebody asks for a cut.
    pub(crate) async fn cut_asked(&self) -> Cut {
        self.wake.notified().await;
        if self.cut.load(Ordering::Acquire) == 2 {
            Cut::Reset
        } else {
            Cut::Close
        }
    }

    /// Notes that the stub itself drops the connection.
    pub(crate) fn target_down(&self) {
        self.cut.store(3, Ordering::Release);
    }

    /// How a request ends that is dropped on this connection.
    pub(crate) fn end(&self) -> End {
        match self.cut.load(Ordering::Acquire) {
            0 => End::ClientGone,
            3 => End::TargetDown,
            _ => End::Fault,
        }
    }
}
