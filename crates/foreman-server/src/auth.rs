//! Who calls.

use std::sync::Arc;

use foreman_job::Priority;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::TokenEntry;
use crate::caps::{OpenRequest, OpenRequests};
use crate::error::ApiError;

/// Who calls, as far as foreman knows.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The name of its token; none when callers are anonymous.
    pub(crate) name: Option<Arc<str>>,
    /// The most urgent class that it may ask for.
    pub(crate) max_priority: Priority,
    /// How many of its jobs may wait.
    pub(crate) max_queued: Option<u64>,
    open: Option<Arc<OpenRequests>>,
}

/// Knows the callers by their tokens.
#[derive(Debug)]
pub(crate) struct Auth {
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    entry: TokenEntry,
    name: Arc<str>,
    open: Option<Arc<OpenRequests>>,
}

impl Auth {
    pub(crate) fn new(tokens: Vec<TokenEntry>) -> Self {
        let known = tokens
            .into_iter()
            .map(|entry| {
                let name = Arc::from(entry.name());
                let open = entry.max_concurrent().map(OpenRequests::new);
                Known { entry, name, open }
            })
            .collect();
        Self { known }
    }

    /// Returns who calls, or none when it must not.
    ///
    /// Takes the same time whichever token it is, and whether it is one.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        if self.known.is_empty() {
            return Some(Caller::anonymous(Priority::High));
        }
        let digest: [u8; 32] = Sha256::digest(presented(headers)?).into();
        let mut found = None;
        for Known { entry, name, open } in &self.known {
            if bool::from(entry.digest().ct_eq(&digest)) {
                found = Some(Caller {
                    name: Some(Arc::clone(name)),
                    max_priority: entry.max_priority(),
                    max_queued: entry.max_queued(),
                    open: open.clone(),
                });
            }
        }
        found
    }
}

impl Caller {
    /// Somebody, on a route where it does not matter who.
    pub(crate) const fn unknown() -> Self {
        Self::anonymous(Priority::Low)
    }

    /// A caller without a name.
    pub(crate) const fn anonymous(max_priority: Priority) -> Self {
        Self {
            name: None,
            max_priority,
            max_queued: None,
            open: None,
        }
    }

    /// Counts a request that waits for its job, as long as what is returned lives; refuses one too
    /// many.
    pub(crate) fn open_request(&self) -> Result<Option<OpenRequest>, ApiError> {
        self.open.as_ref().map(OpenRequests::enter).transpose()
    }

    /// Returns the class that the caller gets when it asks for one, or for none.
    pub(crate) fn priority(&self, wanted: Option<Priority>) -> Priority {
        // A class that goes first is the smaller one.
        wanted.unwrap_or_default().max(self.max_priority)
    }
}

/// Returns the token: a bearer one, or the key that clients of Anthropic's API send.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let (scheme, token) = value.as_bytes().split_at_checked(7)?;
        return scheme
            .eq_ignore_ascii_case(b"bearer ")
            .then(|| token.trim_ascii());
    }
    headers.get("x-api-key").map(HeaderValue::as_bytes)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn auth() -> Auth {
        Auth::new(vec![
            TokenEntry::new("alice", "secret-a", Priority::High),
            TokenEntry::new("bob", "secret-b", Priority::Low),
        ])
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[rstest]
    #[case("authorization", "Bearer secret-a", Some("alice"))]
    #[case("authorization", "bearer  secret-b", Some("bob"))]
    #[case("x-api-key", "secret-b", Some("bob"))]
    #[case("authorization", "Bearer secret-c", None)]
    #[case("authorization", "Basic secret-a", None)]
    #[case("authorization", "Bearer ", None)]
    #[case("authorization", "é", None)]
    #[case("x-other", "secret-a", None)]
    fn a_caller_is_known_by_its_token(
        #[case] name: &'static str,
        #[case] value: &str,
        #[case] expected: Option<&str>,
    ) {
        let caller = auth().caller(&headers(name, value));

        let found = caller.as_ref().and_then(|caller| caller.name.as_deref());
        assert_eq!(found, expected);
        assert_eq!(caller.is_some(), expected.is_some());
    }

    #[test]
    fn without_tokens_everybody_may_call() {
        let caller = Auth::new(Vec::new()).caller(&HeaderMap::new()).unwrap();

        assert_eq!(caller.name, None);
        assert_eq!(caller.priority(Some(Priority::High)), Priority::High);
    }

    #[test]
    fn a_token_caps_the_priority() {
        let bob = auth().caller(&headers("x-api-key", "secret-b")).unwrap();

        assert_eq!(bob.priority(Some(Priority::High)), Priority::Low);
        assert_eq!(bob.priority(None), Priority::Low);
    }
}
