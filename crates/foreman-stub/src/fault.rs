//! Scripted faults: what goes wrong, for which request, how often.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::watch;

/// What goes wrong. A chunk is one data chunk of the answer's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset before anything is answered.
    ResetBeforeHead,
    /// The connection is closed in order before anything is answered.
    CloseBeforeHead,
    /// The connection is reset after the head and this many chunks.
    ResetAfter(usize),
    /// The connection is closed in order after the head and this many chunks, without terminator.
    CloseAfter(usize),
    /// The answer ends after this many chunks as if it were complete.
    EndAfter(usize),
    /// Nothing is answered until the fault is released.
    StallBeforeHead,
    /// After the head and this many chunks nothing more is sent until the fault is released.
    StallAfter(usize),
    /// The body trickles in pieces of this many bytes with a pause between them.
    Trickle {
        /// Bytes of a piece.
        bytes: usize,
        /// Time between pieces.
        pause: Duration,
    },
    /// A line that is not JSON comes after this many chunks; the rest follows.
    GarbageAfter(usize),
    /// An error line comes after this many chunks, and a clean end.
    ErrorLineAfter {
        /// Chunks before it.
        chunks: usize,
        /// The text of the error.
        message: String,
    },
    /// An answer with this status instead of the real one.
    Status {
        /// The status code.
        status: u16,
        /// The body, sent as JSON.
        body: String,
        /// A `Retry-After` header.
        retry_after: Option<String>,
    },
    /// Status 200 with a web page.
    Html,
    /// Loading takes this much longer.
    SlowLoad(Duration),
    /// Loading ends with this error.
    LoadFails(String),
    /// These pieces are written to the connection in place of an answer, which is then closed in
    /// order.
    Raw(Vec<Bytes>),
    /// The first bytes are written to the connection in place of an answer, and after them the
    /// others again and again until the caller closes it.
    RawWithoutEnd {
        /// What is written once.
        first: Bytes,
        /// What has no end.
        again: Bytes,
    },
    /// `Content-Length` promises more bytes than are sent before the connection is closed.
    ShortBody,
    /// The whole target goes away after the head and this many chunks: its connections are
    /// closed and new ones refused until the stub listens again.
    DownAfter(usize),
    /// The whole target goes away before anything is answered.
    DownBeforeHead,
}

/// A fault with the requests that it applies to: without limits, every one.
#[derive(Clone, Debug)]
pub struct FaultRule {
    fault: Fault,
    path: Option<String>,
    model: Option<String>,
    skip: usize,
    times: Option<usize>,
}

impl FaultRule {
    /// A fault for every request.
    pub fn always(fault: Fault) -> Self {
        Self {
            fault,
            path: None,
            model: None,
            skip: 0,
            times: None,
        }
    }

    /// A fault for the next request that matches.
    pub fn once(fault: Fault) -> Self {
        Self::always(fault).times(1)
    }

    /// Only requests to this path.
    #[must_use]
    pub fn on_path(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// Only requests that name this model, spelt like this.
    #[must_use]
    pub fn for_model(mut self, model: &str) -> Self {
        self.model = Some(model.to_owned());
        self
    }

    /// Spares the first `count` requests that match.
    #[must_use]
    pub fn after(mut self, count: usize) -> Self {
        self.skip = count;
        self
    }

    /// Strikes this often at most.
    #[must_use]
    pub fn times(mut self, count: usize) -> Self {
        self.times = Some(count);
        self
    }
}

/// A fault that was injected; dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct FaultHandle {
    shared: Arc<Shared>,
}

impl FaultHandle {
    /// How often the fault has struck.
    pub fn hits(&self) -> usize {
        *self.shared.hits.borrow()
    }

    /// Waits until the fault has struck `count` times.
    pub async fn hit(&self, count: usize) {
        let mut hits = self.shared.hits.subscribe();
        // No error: the handle owns the sender.
        drop(hits.wait_for(|seen| *seen >= count).await);
    }

    /// Lets stalled requests go on, now and later.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// Strikes no more.
    pub fn remove(&self) {
        self.shared.released.send_replace(true);
        self.shared.removed.send_replace(true);
    }
}

#[derive(Debug)]
struct Shared {
    hits: watch::Sender<usize>,
    released: watch::Sender<bool>,
    removed: watch::Sender<bool>,
}

/// A fault that strikes one request.
#[derive(Clone, Debug)]
pub(crate) struct Strike {
    /// What goes wrong.
    pub(crate) fault: Fault,
    shared: Arc<Shared>,
}

impl Strike {
    /// Waits until the test releases the fault.
    pub(crate) async fn released(&self) {
        let mut released = self.shared.released.subscribe();
        // No error: the strike keeps the sender.
        drop(released.wait_for(|released| *released).await);
    }
}

#[derive(Debug)]
struct Armed {
    rule: FaultRule,
    seen: usize,
    shared: Arc<Shared>,
}

/// All faults of a stub, in the order they were injected.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Mutex<Vec<Armed>>,
}

impl Faults {
    /// Adds a fault.
    pub(crate) fn inject(&self, rule: FaultRule) -> FaultHandle {
        let shared = Arc::new(Shared {
            hits: watch::Sender::new(0),
            released: watch::Sender::new(false),
            removed: watch::Sender::new(false),
        });
        let armed = Armed {
            rule,
            seen: 0,
            shared: Arc::clone(&shared),
        };
        self.armed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(armed);
        FaultHandle { shared }
    }

    /// Removes all faults and releases what they stall.
    pub(crate) fn clear(&self) {
        let armed = std::mem::take(&mut *self.armed.lock().unwrap_or_else(PoisonError::into_inner));
        for fault in armed {
            fault.shared.released.send_replace(true);
        }
    }

    /// The first fault that strikes this request.
    pub(crate) fn strike(&self, path: &str, model: Option<&str>) -> Option<Strike> {
        let mut all = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|armed| !*armed.shared.removed.borrow() && armed.rule.times != Some(0));
        let armed = all
            .iter_mut()
            .find_map(|armed| armed.strikes(path, model).then_some(armed))?;
        armed.rule.times = armed.rule.times.map(|left| left.saturating_sub(1));
        let strike = Strike {
            fault: armed.rule.fault.clone(),
            shared: Arc::clone(&armed.shared),
        };
        drop(all);
        strike.shared.hits.send_modify(|hits| *hits += 1);
        Some(strike)
    }
}

impl Armed {
    /// Counts a matching request, and says whether it is struck.
    fn strikes(&mut self, path: &str, model: Option<&str>) -> bool {
        let rule = &self.rule;
        let fits = rule.path.as_deref().is_none_or(|wanted| wanted == path)
            && (rule.model.is_none() || rule.model.as_deref() == model);
        if fits {
            self.seen += 1;
        }
        fits && self.seen > self.rule.skip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_say_which_requests_are_struck() {
        let faults = Faults::default();
        let rule = FaultRule::always(Fault::Html)
            .on_path("/p")
            .for_model("m")
            .after(1)
            .times(2);
        let handle = faults.inject(rule);

        let struck = |path, model| faults.strike(path, model).is_some();
        assert!(!struck("/q", Some("m")));
        assert!(!struck("/p", None));
        assert!(!struck("/p", Some("m")), "the first is spared");
        assert!(struck("/p", Some("m")));
        assert!(struck("/p", Some("m")));
        assert!(!struck("/p", Some("m")), "used up");
        assert_eq!(handle.hits(), 2);
    }

    #[test]
    fn a_removed_fault_strikes_no_more() {
        let faults = Faults::default();
        let handle = faults.inject(FaultRule::always(Fault::Html));

        handle.remove();

        assert!(faults.strike("/", None).is_none());
    }
}
