//! Gates: places where requests wait until a test lets them go on.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};

/// Where a request is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Load,
    Chunk(usize),
}

/// Which requests to hold, and where.
///
/// ```
/// use foreman_stub::Hold;
///
/// let second_chunk = Hold::after_chunks(1).on_path("/api/chat").for_model("llama3.2:1b");
/// ```
#[derive(Clone, Debug)]
pub struct Hold {
    place: Place,
    path: Option<String>,
    model: Option<String>,
}

impl Hold {
    fn at(place: Place) -> Self {
        Self {
            place,
            path: None,
            model: None,
        }
    }

    /// Holds a load at its end: the model is not resident yet.
    pub fn load() -> Self {
        Self::at(Place::Load)
    }

    /// Holds an answer before its first token, with the slot taken and no byte sent.
    pub fn before_first_token() -> Self {
        Self::at(Place::Chunk(0))
    }

    /// Holds an answer after its first `chunks` tokens; embeddings have none.
    pub fn after_chunks(chunks: usize) -> Self {
        Self::at(Place::Chunk(chunks))
    }

    /// Only requests to this path. Does not apply to loads.
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
}

/// A gate that holds requests until it is released or dropped.
#[derive(Debug)]
#[must_use = "a dropped gate holds nobody"]
pub struct Gate {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    hold: Hold,
    /// Closed when everybody may pass.
    passes: Semaphore,
    arrivals: watch::Sender<usize>,
}

impl Gate {
    /// Waits until somebody is held here, or was.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Waits until `count` requests have arrived here since the gate was made.
    pub async fn reached_by(&self, count: usize) {
        let mut arrivals = self.inner.arrivals.subscribe();
        // No error: the gate owns the sender.
        drop(arrivals.wait_for(|seen| *seen >= count).await);
    }

    /// How many requests have arrived here.
    pub fn arrivals(&self) -> usize {
        *self.inner.arrivals.borrow()
    }

    /// Lets one request pass: one that is held, or the next that comes.
    pub fn release_one(&self) {
        self.inner.passes.add_permits(1);
    }

    /// Lets everybody pass, now and later.
    pub fn release(&self) {
        self.inner.passes.close();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.release();
    }
}

/// All gates of a stub.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    gates: Mutex<Vec<Arc<Inner>>>,
}

impl Gates {
    /// Makes a gate.
    pub(crate) fn hold(&self, hold: Hold) -> Gate {
        let inner = Arc::new(Inner {
            hold,
            passes: Semaphore::new(0),
            arrivals: watch::Sender::new(0),
        });
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|gate| !gate.passes.is_closed());
        gates.push(Arc::clone(&inner));
        drop(gates);
        Gate { inner }
    }

    /// Waits at every gate for loads of a model known by these names.
    pub(crate) async fn pass_load(&self, model: &str, short: &str) {
        let fits = |hold: &Hold| {
            hold.place == Place::Load
                && hold
                    .model
                    .as_deref()
                    .is_none_or(|m| m == model || m == short)
        };
        pass(self.matching(fits)).await;
    }

    /// Waits at every gate for answers that have sent `chunks` tokens.
    pub(crate) async fn pass_chunk(&self, chunks: usize, path: &str, model: &str) {
        let fits = |hold: &Hold| {
            hold.place == Place::Chunk(chunks)
                && hold.path.as_deref().is_none_or(|p| p == path)
                && hold.model.as_deref().is_none_or(|m| m == model)
        };
        pass(self.matching(fits)).await;
    }

    fn matching(&self, fits: impl Fn(&Hold) -> bool) -> Vec<Arc<Inner>> {
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |gate: &&Arc<Inner>| !gate.passes.is_closed() && fits(&gate.hold);
        gates.iter().filter(open).cloned().collect()
    }
}

async fn pass(gates: Vec<Arc<Inner>>) {
    for gate in gates {
        gate.arrivals.send_modify(|seen| *seen += 1);
        // An error means that the gate was opened for everybody.
        if let Ok(permit) = gate.passes.acquire().await {
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gate_holds_what_matches_until_it_is_released() {
        let gates = Gates::default();
        let gate = gates.hold(Hold::after_chunks(1).on_path("/api/chat").for_model("a"));

        gates.pass_chunk(0, "/api/chat", "a").await;
        gates.pass_chunk(1, "/api/generate", "a").await;
        gates.pass_chunk(1, "/api/chat", "b").await;
        gates.pass_load("a", "a:latest").await;
        assert_eq!(gate.arrivals(), 0);

        let held = gates.pass_chunk(1, "/api/chat", "a");
        let test = async {
            gate.reached().await;
            gate.release_one();
        };
        tokio::join!(held, test);
        gate.release();
        gates.pass_chunk(1, "/api/chat", "a").await;
        assert_eq!(gate.arrivals(), 1);
    }
}
