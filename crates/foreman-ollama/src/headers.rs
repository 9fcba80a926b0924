//! Which headers pass between caller and target.

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

/// Headers about one connection only, and those that frame a message.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers of a caller that are meant for us, or that would mislead the target.
const OURS: [&str; 11] = [
    // The caller's credentials are for this server; the target has its own.
    "authorization",
    "x-api-key",
    // Written anew for the target.
    "host",
    "content-length",
    // Answered before the body was read.
    "expect",
    // The target would refuse a browser's origin that it does not know.
    "origin",
    // What a proxy in front said about the caller; the target builds redirects from some of it.
    "forwarded",
    "via",
    "x-real-ip",
    "idempotency-key",
    "prefer",
];

/// Tells whether a request header of this name may be sent on to the target.
fn forwardable(name: &HeaderName) -> bool {
    let name = name.as_str();
    !(HOP_BY_HOP.contains(&name)
        || OURS.contains(&name)
        || name.starts_with("x-forwarded-")
        || name.starts_with("x-foreman-"))
}

/// Returns the headers of a caller's request that the target gets.
///
/// Left out are credentials, what concerns one connection only (RFC 9110 §7.6.1, with the headers
/// that `Connection` names), and what is meant for this server.
pub fn forwardable_headers(
    headers: &HeaderMap,
) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let named = named_by_connection(headers);
    headers
        .iter()
        .filter(move |(name, _)| forwardable(name) && !named.contains(name))
}

/// Takes out of a caller's headers what [`forwardable_headers`] leaves out, but for those that are
/// written anew anyway: host and length.
pub(crate) fn keep_forwardable(headers: &mut HeaderMap) {
    for name in named_by_connection(headers) {
        headers.remove(name);
    }
    remove_where(headers, |name| {
        !forwardable(name) && *name != header::HOST && *name != header::CONTENT_LENGTH
    });
}

/// Takes the hop-by-hop headers out of an answer.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    for name in named_by_connection(headers) {
        // An answer cannot take its own framing or type away with this.
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            headers.remove(name);
        }
    }
    remove_where(headers, |name| HOP_BY_HOP.contains(&name.as_str()));
}

fn remove_where(headers: &mut HeaderMap, is_gone: impl Fn(&HeaderName) -> bool) {
    let gone: Vec<_> = headers
        .keys()
        .filter(|name| is_gone(name))
        .cloned()
        .collect();
    for name in gone {
        headers.remove(name);
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("user-agent", true)]
    #[case("traceparent", true)]
    #[case("content-type", true)]
    #[case("content-encoding", true)]
    #[case("accept", true)]
    #[case("anthropic-version", true)]
    #[case("authorization", false)]
    #[case("x-api-key", false)]
    #[case("connection", false)]
    #[case("te", false)]
    #[case("host", false)]
    #[case("content-length", false)]
    #[case("expect", false)]
    #[case("origin", false)]
    #[case("x-forwarded-for", false)]
    #[case("x-forwarded-prefix", false)]
    #[case("forwarded", false)]
    #[case("via", false)]
    #[case("x-foreman-priority", false)]
    #[case("idempotency-key", false)]
    #[case("prefer", false)]
    fn a_header_is_forwarded_or_not(#[case] name: &str, #[case] forwarded: bool) {
        assert_eq!(forwardable(&name.parse().unwrap()), forwarded);
    }

    #[test]
    fn what_connection_names_stays_on_that_connection() {
        let mut headers = HeaderMap::new();
        headers.insert("connection", HeaderValue::from_static("close, X-Hop"));
        headers.insert("x-hop", HeaderValue::from_static("1"));
        headers.insert("x-end", HeaderValue::from_static("2"));

        let forwarded: Vec<_> = forwardable_headers(&headers)
            .map(|(name, _)| name)
            .collect();

        assert_eq!(forwarded, ["x-end"]);
        strip_hop_by_hop(&mut headers);

        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-end"]);
    }

    #[test]
    fn repeated_headers_stay_repeated() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("2"));

        let forwarded = forwardable_headers(&headers);

        assert_eq!(
            forwarded.map(|(_, value)| value).collect::<Vec<_>>(),
            ["1", "2"]
        );
    }
}
