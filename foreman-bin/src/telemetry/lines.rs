//! Log lines on their way out: those of requests and claims together, since they come thick and
//! fast.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::panic;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use foreman_scheduler::CLAIM_LINES;
use foreman_server::REQUEST_LINES;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// So much a pipe takes in one piece, also where others write to it: no line is torn apart.
const TOGETHER: usize = 4096;

/// A line waits for others so long at most.
const SOON: Duration = Duration::from_millis(5);

/// Where log lines go. Clones write to the same place.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

/// Writes out what waits, when its time has come and when this is dropped.
#[derive(Debug)]
#[must_use = "lines that wait are lost without it"]
pub struct Log {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// The first line of a batch has come, or the end.
    come: Condvar,
}

struct State {
    out: BufWriter<Box<dyn Write + Send>>,
    /// Whether lines may wait: somebody writes them out in time.
    waits: bool,
    /// Whether a batch has begun that is not written out by time yet, so that nobody is to be woken.
    begun: bool,
}

/// Writes one line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    lines: &'a Lines,
    /// Whether it may wait for others.
    patient: bool,
}

impl Lines {
    /// Makes a way out on which no line waits.
    pub(super) fn new(out: impl Write + Send + 'static) -> Self {
        let out: Box<dyn Write + Send> = Box::new(out);
        let state = Mutex::new(State {
            out: BufWriter::with_capacity(TOGETHER, out),
            waits: false,
            begun: false,
        });
        let come = Condvar::new();
        Self(Arc::new(Shared { state, come }))
    }

    /// Lets lines wait for each other, until what is returned is dropped.
    pub(super) fn together(self) -> io::Result<Log> {
        self.lock().waits = true;
        let mut log = Log {
            lines: self.clone(),
            thread: None,
        };
        let before_panics = self.clone();
        let thread = thread::Builder::new().name("foreman-lines".to_owned());
        log.thread = Some(thread.spawn(move || self.write_in_time())?);
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            before_panics.flush();
            told(panic);
        }));
        Ok(log)
    }

    fn write(&self, line: &[u8], patient: bool) -> io::Result<()> {
        let mut state = self.lock();
        let written = state.out.write_all(line);
        if !patient || !state.waits {
            return written.and_then(|()| state.out.flush());
        }
        let begins = !state.begun && !state.out.buffer().is_empty();
        state.begun |= begins;
        drop(state);
        if begins {
            self.0.come.notify_one();
        }
        written
    }

    /// Writes out each batch a moment after it has begun.
    fn write_in_time(&self) {
        let come = &self.0.come;
        let mut state = self.lock();
        loop {
            let nothing = |state: &mut State| state.waits && !state.begun;
            state = come
                .wait_while(state, nothing)
                .unwrap_or_else(PoisonError::into_inner);
            let goes_on = |state: &mut State| state.waits;
            (state, _) = come
                .wait_timeout_while(state, SOON, goes_on)
                .unwrap_or_else(PoisonError::into_inner);
            // Nobody could be told that the log cannot be written.
            let _written = state.out.flush();
            state.begun = false;
            if !state.waits {
                return;
            }
        }
    }

    /// Writes out what waits, unless a line is being written just now.
    fn flush(&self) {
        let mut state = match self.0.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let _written = state.out.flush();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            lines: self,
            patient: false,
        }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        let is_frequent = meta.target() == REQUEST_LINES || meta.name() == CLAIM_LINES;
        Line {
            lines: self,
            patient: *meta.level() > Level::WARN && is_frequent,
        }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.lines.write(buf, self.patient).map(|()| buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.lock().waits = false;
        self.lines.0.come.notify_one();
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked: nothing in it does.
            let _ended = thread.join();
        }
        self.lines.flush();
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    /// Tells of each piece that is written.
    struct Told(Sender<String>);

    impl Write for Told {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            let piece = String::from_utf8_lossy(buf).into_owned();
            self.0.send(piece).map_err(io::Error::other)?;
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines() -> (Lines, Receiver<String>) {
        let (told, pieces) = mpsc::channel();
        (Lines::new(Told(told)), pieces)
    }

    #[test]
    fn a_line_is_written_at_once_where_none_waits() {
        let (lines, pieces) = lines();

        lines.write(b"a\n", true).unwrap();

        assert_eq!(pieces.try_recv().unwrap(), "a\n");
    }

    #[test]
    fn a_line_that_waits_is_written_without_another() {
        let (lines, pieces) = lines();
        let _log = lines.clone().together().unwrap();

        lines.write(b"a\n", true).unwrap();

        assert_eq!(pieces.recv().unwrap(), "a\n");
    }

    #[test]
    fn a_warning_takes_along_what_waits_and_all_stays_in_order() {
        let (lines, pieces) = lines();
        let _log = lines.clone().together().unwrap();

        lines.write(b"a\n", true).unwrap();
        lines.write(b"b\n", false).unwrap();

        let written: String = pieces.try_iter().collect();
        assert_eq!(written, "a\nb\n");
    }

    #[test]
    fn a_line_that_waits_after_one_that_did_not_is_written() {
        let (lines, pieces) = lines();
        let _log = lines.clone().together().unwrap();
        lines.write(b"a\n", true).unwrap();
        lines.write(b"b\n", false).unwrap();
        lines.write(b"c\n", true).unwrap();

        let mut written = String::new();
        while written != "a\nb\nc\n" {
            written.push_str(&pieces.recv().unwrap());
        }
    }

    #[test]
    fn many_lines_are_written_in_pieces_of_whole_lines() {
        let (lines, pieces) = lines();
        let log = lines.clone().together().unwrap();
        let line = [&[b'x'; 99][..], b"\n"].concat();

        for _ in 0..1000 {
            lines.write(&line, true).unwrap();
        }
        drop(log);

        let pieces: Vec<_> = pieces.try_iter().collect();
        assert!(pieces.iter().all(|piece| piece.ends_with('\n')));
        assert!(pieces.iter().all(|piece| piece.len() <= TOGETHER));
        assert_eq!(pieces.concat().len(), 100_000);
    }

    #[test]
    fn no_line_waits_after_the_end() {
        let (lines, pieces) = lines();
        let log = lines.clone().together().unwrap();
        lines.write(b"a\n", true).unwrap();

        drop(log);
        lines.write(b"b\n", true).unwrap();

        let written: String = pieces.try_iter().collect();
        assert_eq!(written, "a\nb\n");
    }
}
