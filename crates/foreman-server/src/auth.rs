//! Who calls.

use std::sync::Arc;

use foreman_job::Priority;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use crate::TokenEntry;
use crate::caps::{OpenRequest, OpenRequests};
use crate::error::ApiError;
use crate::rate::Allowance;

/// Who calls, as far as foreman knows.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The name of its token; none when callers are anonymous.
    pub(crate) name: Option<Arc<str>>,
    /// The most urgent class that it may ask for.
    pub(crate) max_priority: Priority,
    /// How many of its jobs may wait.
    pub(crate) max_queued: Option<u64>,
    counts: Arc<Counts>,
}

/// What is counted of a caller.
#[derive(Debug)]
struct Counts {
    open: Option<Arc<OpenRequests>>,
    watching: Arc<OpenRequests>,
    allowance: Option<Allowance>,
}

/// Knows the callers by their tokens.
#[derive(Debug)]
pub(crate) struct Auth {
    known: Vec<Known>,
    /// All callers without a name are one.
    unnamed: Arc<Counts>,
}

#[derive(Debug)]
struct Known {
    entry: TokenEntry,
    name: Arc<str>,
    counts: Arc<Counts>,
}

impl Auth {
    pub(crate) fn new(tokens: Vec<TokenEntry>, max_watching: u64) -> Self {
        let now = Instant::now();
        let counts = |entry: Option<&TokenEntry>| {
            let rate = entry.and_then(TokenEntry::max_rate);
            Arc::new(Counts {
                open: entry
                    .and_then(TokenEntry::max_concurrent)
                    .map(OpenRequests::new),
                watching: OpenRequests::new(max_watching),
                allowance: rate.map(|rate| Allowance::new(rate, now)),
            })
        };
        let unnamed = counts(None);
        let known = tokens
            .into_iter()
            .map(|entry| Known {
                name: Arc::from(entry.name()),
                counts: counts(Some(&entry)),
                entry,
            })
            .collect();
        Self { known, unnamed }
    }

    /// Returns who calls, or none when it must not.
    ///
    /// Takes the same time whichever token it is, and whether it is one.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        if self.known.is_empty() {
            return Some(self.anonymous(Priority::High));
        }
        let digest: [u8; 32] = Sha256::digest(presented(headers)?).into();
        let mut found = None;
        for Known {
            entry,
            name,
            counts,
        } in &self.known
        {
            if bool::from(entry.digest().ct_eq(&digest)) {
                found = Some(Caller {
                    name: Some(Arc::clone(name)),
                    max_priority: entry.max_priority(),
                    max_queued: entry.max_queued(),
                    counts: Arc::clone(counts),
                });
            }
        }
        found
    }

    /// Somebody, on a route where it does not matter who.
    pub(crate) fn unknown(&self) -> Caller {
        self.anonymous(Priority::Low)
    }

    /// A caller without a name.
    pub(crate) fn anonymous(&self, max_priority: Priority) -> Caller {
        Caller {
            name: None,
            max_priority,
            max_queued: None,
            counts: Arc::clone(&self.unnamed),
        }
    }
}

impl Caller {
    /// Counts a request that waits for its job, as long as what is returned lives; refuses one too
    /// many.
    pub(crate) fn open_request(&self) -> Result<Option<OpenRequest>, ApiError> {
        let open = self.counts.open.as_ref();
        open.map(OpenRequests::enter).transpose()
    }

    /// Counts a request that follows jobs, as long as what is returned lives; refuses one too many.
    pub(crate) fn watching(&self) -> Result<OpenRequest, ApiError> {
        self.counts.watching.enter()
    }

    /// Takes one time off what the caller may ask, or says when to come back.
    pub(crate) fn ask(&self) -> Result<(), ApiError> {
        let allowance = self.counts.allowance.as_ref();
        allowance.map_or(Ok(()), |it| it.take(Instant::now()))
    }

    /// Takes more times: what was asked stood for many.
    pub(crate) fn charge(&self, times: usize) {
        if let Some(allowance) = &self.counts.allowance {
            allowance.charge(times, Instant::now());
        }
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
        let tokens = vec![
            TokenEntry::new("alice", "secret-a", Priority::High),
            TokenEntry::new("bob", "secret-b", Priority::Low),
        ];
        Auth::new(tokens, 9)
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
        let caller = Auth::new(Vec::new(), 9).caller(&HeaderMap::new()).unwrap();

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
