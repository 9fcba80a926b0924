//! Readers of this folder, for the fuzzing targets.

use bytes::Bytes;

use super::batch;
use super::cursor::Cursor;
use super::submission::Said;

/// Reads a cursor, and returns how it is written.
pub(crate) fn cursor(text: &str) -> Option<String> {
    Cursor::read(text).map(Cursor::write)
}

/// Reads a submission; returns its request and its metadata.
pub(crate) fn submission(json: &Bytes) -> Option<(Bytes, Option<String>)> {
    let said = Said::read(json).ok()?;
    Some((said.request, said.metadata))
}

/// Reads many submissions.
pub(crate) fn array(body: &Bytes, most: usize) -> Option<Vec<Bytes>> {
    batch::array(body, most).ok()
}

/// Reads many submissions.
pub(crate) fn lines(body: &Bytes, most: usize) -> Option<Vec<Bytes>> {
    batch::lines(body, most).ok()
}
