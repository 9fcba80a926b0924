//! How many requests of one caller are open at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::ApiError;
use crate::fault::Fault;

/// Counts the open requests of one caller.
#[derive(Debug)]
pub(crate) struct OpenRequests {
    most: u64,
    open: AtomicU64,
}

/// One open request; dropped, it is open no more.
#[derive(Debug)]
pub(crate) struct OpenRequest(Arc<OpenRequests>);

impl OpenRequests {
    pub(crate) fn new(most: u64) -> Arc<Self> {
        Arc::new(Self {
            most,
            open: AtomicU64::new(0),
        })
    }

    /// Counts one more request, unless as many are open as may.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<OpenRequest, ApiError> {
        let before = self.open.fetch_add(1, Ordering::AcqRel);
        // Made before the check, so that a refusal is taken back too.
        let request = OpenRequest(Arc::clone(self));
        if before < self.most {
            return Ok(request);
        }
        let message = format!("{} requests of this caller are open already", self.most);
        Err(ApiError::new(Fault::TooManyRequests, message))
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_may_be_open_as_the_cap_says_and_a_refusal_costs_nothing() {
        let requests = OpenRequests::new(2);
        let first = requests.enter().unwrap();
        let _second = requests.enter().unwrap();

        let refused = requests.enter().unwrap_err();
        drop(first);

        assert_eq!(refused.status(), 429);
        assert!(refused.retry_after().is_some());
        assert!(requests.enter().is_ok());
    }
}
