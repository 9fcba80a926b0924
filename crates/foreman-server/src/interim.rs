//! Which waiting callers get interim responses.
//!
//! `102 Processing` keeps clients from giving up on a job that waits, and commits to nothing. But not
//! everybody understands it: Python's `http.client`, and with it `requests` and `urllib3`, takes any
//! 1xx but 100 for the answer itself (its reader skips `100 Continue` only), as some proxies do. So
//! unless the settings say otherwise only clients get it that are known to skip it.

use std::time::Duration;

use http::{HeaderMap, Version, header};

use crate::Interim;

/// Beginnings of the `User-Agent` of clients that were seen to skip interim responses, or whose
/// HTTP library is one of those.
const KNOWN: [&str; 14] = [
    // Node's fetch and what is built on it.
    "node",
    "undici/",
    "ollama-js/",
    "OpenAI/",
    "Anthropic/",
    // Python's httpx and what is built on it.
    "python-httpx/",
    "ollama-python/",
    "AsyncOpenAI/",
    "AsyncAnthropic/",
    "litellm/",
    // Go's net/http.
    "Go-http-client/",
    "ollama/",
    // libcurl and browsers. Rust's reqwest and hyper skip them, too, but send no `User-Agent` of
    // their own.
    "curl/",
    "Mozilla/",
];

/// A part of the `User-Agent` of Python's aiohttp.
const AIOHTTP: &str = " aiohttp/";

/// Returns how often a waiting caller gets an interim response; none: never.
pub(crate) fn period(setting: Interim, version: Version, headers: &HeaderMap) -> Option<Duration> {
    if version < Version::HTTP_11 {
        return None;
    }
    match setting {
        Interim::Off => None,
        Interim::On(period) => Some(period),
        Interim::Auto(period) => {
            (skips_interim(headers) && !came_through_proxy(headers)).then_some(period)
        }
    }
}

fn skips_interim(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT);
    agent
        .and_then(|agent| agent.to_str().ok())
        .is_some_and(|agent| {
            KNOWN.iter().any(|known| agent.starts_with(known)) || agent.contains(AIOHTTP)
        })
}

fn came_through_proxy(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        name == "via" || name == "forwarded" || name.starts_with("x-forwarded-")
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use rstest::rstest;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(15);

    fn of(agent: Option<&'static str>) -> HeaderMap {
        let agent = agent.map(|agent| (header::USER_AGENT, HeaderValue::from_static(agent)));
        agent.into_iter().collect()
    }

    #[rstest]
    #[case(Some("node"), true)]
    #[case(Some("ollama-python/0.6.3 (x86_64 linux) Python/3.11.7"), true)]
    #[case(Some("ollama-js/0.6.4 (x64 linux Node.js/v20)"), true)]
    #[case(Some("OpenAI/Python 2.54.0"), true)]
    #[case(Some("Python/3.11 aiohttp/3.13.0"), true)]
    #[case(Some("ollama/0.33.0 (amd64 linux) Go/go1.26"), true)]
    #[case(Some("python-requests/2.33.0"), false)]
    #[case(Some("Python-urllib/3.11"), false)]
    #[case(Some("Java-http-client/17.0.15"), false)]
    #[case(None, false)]
    fn only_clients_known_to_skip_interim_responses_get_them(
        #[case] agent: Option<&'static str>,
        #[case] expected: bool,
    ) {
        let headers = of(agent);

        let found = period(Interim::Auto(PERIOD), Version::HTTP_11, &headers);

        assert_eq!(found.is_some(), expected);
    }

    #[rstest]
    #[case("x-other", Version::HTTP_11, true)]
    #[case("x-other", Version::HTTP_10, false)]
    #[case("via", Version::HTTP_11, false)]
    #[case("forwarded", Version::HTTP_11, false)]
    #[case("x-forwarded-for", Version::HTTP_11, false)]
    fn proxies_and_callers_of_http_1_0_get_none(
        #[case] name: &'static str,
        #[case] version: Version,
        #[case] expected: bool,
    ) {
        let mut headers = of(Some("node"));
        headers.insert(name, HeaderValue::from_static("x"));

        let found = period(Interim::Auto(PERIOD), version, &headers);

        assert_eq!(found.is_some(), expected);
    }

    #[test]
    fn whoever_sets_it_gets_it() {
        let headers = of(None);

        assert_eq!(
            period(Interim::On(PERIOD), Version::HTTP_11, &headers),
            Some(PERIOD)
        );
        assert_eq!(
            period(Interim::Off, Version::HTTP_11, &of(Some("node"))),
            None
        );
    }
}
