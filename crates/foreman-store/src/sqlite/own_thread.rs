//! A thread that its owner waits for.

use std::io;
use std::thread::JoinHandle;

/// A thread that is waited for when this is dropped; whoever drops it has told it to end before.
#[derive(Debug, Default)]
pub(super) struct OwnThread(Option<JoinHandle<()>>);

impl OwnThread {
    /// Starts a thread of a name.
    pub(super) fn start(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let thread = std::thread::Builder::new().name(name.to_owned());
        Ok(Self(Some(thread.spawn(run)?)))
    }

    /// Waits for its end.
    pub(super) fn join(&mut self) {
        let Some(thread) = self.0.take() else {
            return;
        };
        let name = thread.thread().name().unwrap_or_default().to_owned();
        if thread.join().is_err() {
            tracing::error!(thread = name, "a thread has panicked");
        }
    }
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        self.join();
    }
}
