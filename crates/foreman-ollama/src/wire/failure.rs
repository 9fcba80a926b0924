//! What an error of a lower layer means.

use std::error::Error;
use std::io;

use crate::client::BoxError;
use crate::error::ErrorKind;

/// Classifies a connection that did not come about.
pub(super) fn connecting(error: &BoxError, https: bool) -> ErrorKind {
    if has_io_kind(error.as_ref(), &[io::ErrorKind::ConnectionRefused]) {
        return ErrorKind::Refused;
    }
    // The TCP stage has an error type of its own; a bare I/O error comes from the handshake.
    if https && error.downcast_ref::<io::Error>().is_some() {
        return ErrorKind::Tls;
    }
    if has_io_kind(error.as_ref(), &[io::ErrorKind::TimedOut]) {
        return ErrorKind::ConnectTimeout;
    }
    ErrorKind::Unreachable
}

/// Classifies a request that got no response head.
pub(super) fn before_head(error: &hyper::Error) -> ErrorKind {
    if error.is_parse() {
        ErrorKind::InvalidResponse
    } else {
        ErrorKind::ClosedBeforeHead
    }
}

/// Classifies a body that did not come to its end.
pub(super) fn inside_body(error: &hyper::Error) -> ErrorKind {
    let framing = [io::ErrorKind::InvalidInput, io::ErrorKind::InvalidData];
    if error.is_parse() || has_io_kind(error, &framing) {
        ErrorKind::InvalidResponse
    } else {
        ErrorKind::Truncated
    }
}

fn has_io_kind(error: &(dyn Error + 'static), kinds: &[io::ErrorKind]) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io_error) = error.downcast_ref::<io::Error>() {
            if kinds.contains(&io_error.kind()) {
                return true;
            }
            // An I/O error hides the error inside from `source`.
            if let Some(inner) = io_error.get_ref() {
                next = Some(inner);
                continue;
            }
        }
        next = error.source();
    }
    false
}
