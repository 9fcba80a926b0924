//! Which web pages may call, by Ollama's rules.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

/// What Ollama lets through by itself; those with a star stand for every port or name.
const ALWAYS: [&str; 17] = [
    "http://localhost",
    "https://localhost",
    "http://localhost:*",
    "https://localhost:*",
    "http://127.0.0.1",
    "https://127.0.0.1",
    "http://127.0.0.1:*",
    "https://127.0.0.1:*",
    "http://0.0.0.0",
    "https://0.0.0.0",
    "http://0.0.0.0:*",
    "https://0.0.0.0:*",
    "app://*",
    "file://*",
    "tauri://*",
    "vscode-webview://*",
    "vscode-file://*",
];

/// Ollama's list, and after it the headers that foreman reads itself.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,\
     X-Stainless-Arch,X-Stainless-Async,X-Stainless-Custom-Poll-Interval,\
     X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,X-Stainless-Package-Version,\
     X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,\
     X-Stainless-Runtime-Version,X-Stainless-Timeout,\
     Idempotency-Key,Prefer,X-Api-Key,X-Foreman-Expires-In,X-Foreman-Heartbeat,X-Foreman-Keep,\
     X-Foreman-Priority",
);
const METHODS: HeaderValue = HeaderValue::from_static("GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS");
const MAX_AGE: HeaderValue = HeaderValue::from_static("43200");

/// Which web pages may call.
#[derive(Debug)]
pub(crate) struct Cors {
    all: bool,
    origins: Vec<Pattern>,
}

/// What becomes of a request because of its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is handled, and its answer gets these headers.
    Pass(HeaderMap),
    /// It is answered at once.
    Answer(StatusCode, HeaderMap),
}

#[derive(Debug)]
struct Pattern {
    head: String,
    /// What follows the star; none: the head is all there is.
    tail: Option<String>,
}

impl Cors {
    pub(crate) fn new(origins: &[String]) -> Self {
        let patterns = origins.iter().map(String::as_str).chain(ALWAYS);
        Self {
            all: origins.iter().any(|origin| origin == "*"),
            origins: patterns.map(Pattern::parse).collect(),
        }
    }

    /// Judges a request.
    pub(crate) fn judge(&self, method: &Method, headers: &HeaderMap) -> Verdict {
        let Some(origin) = headers
            .get(header::ORIGIN)
            .filter(|value| !value.is_empty())
        else {
            return Verdict::Pass(HeaderMap::new());
        };
        if is_same_origin(origin, headers.get(header::HOST)) {
            return Verdict::Pass(HeaderMap::new());
        }
        if !self.all && !origin.to_str().is_ok_and(|origin| self.allows(origin)) {
            return Verdict::Answer(StatusCode::FORBIDDEN, HeaderMap::new());
        }
        let mut answer = HeaderMap::new();
        let preflight = *method == Method::OPTIONS;
        if preflight {
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            answer.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        if self.all {
            let any = HeaderValue::from_static("*");
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
        } else {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            vary(&mut answer, preflight);
        }
        if preflight {
            Verdict::Answer(StatusCode::NO_CONTENT, answer)
        } else {
            Verdict::Pass(answer)
        }
    }

    fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|pattern| pattern.matches(origin))
    }
}

impl Pattern {
    fn parse(text: &str) -> Self {
        let text = text.trim().to_ascii_lowercase();
        match text.split_once('*') {
            Some((head, tail)) => Self {
                head: head.to_owned(),
                tail: Some(tail.to_owned()),
            },
            None => Self {
                head: text,
                tail: None,
            },
        }
    }

    fn matches(&self, origin: &str) -> bool {
        match &self.tail {
            None => self.head == origin,
            Some(tail) => origin
                .strip_prefix(self.head.as_str())
                .is_some_and(|rest| rest.ends_with(tail.as_str())),
        }
    }
}

fn vary(answer: &mut HeaderMap, preflight: bool) {
    answer.append(header::VARY, HeaderValue::from_static("Origin"));
    if preflight {
        for name in [
            "Access-Control-Request-Method",
            "Access-Control-Request-Headers",
        ] {
            answer.append(header::VARY, HeaderValue::from_static(name));
        }
    }
}

fn is_same_origin(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let host = host.map_or(&b""[..], HeaderValue::as_bytes);
    let origin = origin.as_bytes();
    let rest = origin
        .strip_prefix(b"http://")
        .or_else(|| origin.strip_prefix(b"https://"));
    rest == Some(host)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn request(origin: &str, host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, origin.parse().unwrap());
        headers.insert(header::HOST, host.parse().unwrap());
        headers
    }

    #[rstest]
    #[case("http://localhost:3000", true)]
    #[case("https://localhost", true)]
    #[case("http://127.0.0.1:5173", true)]
    #[case("app://obsidian.md", true)]
    #[case("vscode-webview://abc", true)]
    #[case("http://mac.example", true)]
    #[case("https://pages.mac.example", true)]
    #[case("https://pages.mac.example.evil.example", false)]
    #[case("http://evil.example", false)]
    #[case("http://localhost.evil.example", false)]
    #[case("chrome-extension://abc", false)]
    #[case("null", false)]
    fn only_known_origins_may_call(#[case] origin: &str, #[case] allowed: bool) {
        let cors = Cors::new(&["http://mac.example", "https://*.mac.example"].map(str::to_owned));

        let verdict = cors.judge(&Method::POST, &request(origin, "foreman:8080"));

        match verdict {
            Verdict::Pass(headers) => {
                assert!(allowed, "{origin}");
                assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], origin);
                assert_eq!(headers[header::VARY], "Origin");
            }
            Verdict::Answer(status, headers) => {
                assert!(!allowed, "{origin}");
                assert_eq!((status, headers.len()), (StatusCode::FORBIDDEN, 0));
            }
        }
    }

    #[test]
    fn a_request_without_origin_and_one_of_the_same_origin_are_left_alone() {
        let cors = Cors::new(&[]);

        for headers in [
            HeaderMap::new(),
            request("http://foreman:8080", "foreman:8080"),
            request("https://foreman:8080", "foreman:8080"),
        ] {
            let verdict = cors.judge(&Method::OPTIONS, &headers);

            assert_eq!(verdict, Verdict::Pass(HeaderMap::new()));
        }
    }

    #[test]
    fn a_preflight_is_answered() {
        let headers = request("http://localhost:3000", "foreman:8080");

        let Verdict::Answer(status, answer) = Cors::new(&[]).judge(&Method::OPTIONS, &headers)
        else {
            panic!("not answered");
        };

        assert_eq!(status, StatusCode::NO_CONTENT);
        assert_eq!(
            answer["access-control-allow-origin"],
            "http://localhost:3000"
        );
        assert_eq!(answer["access-control-max-age"], "43200");
        assert_eq!(
            answer["access-control-allow-methods"],
            "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
        );
        let allowed = answer["access-control-allow-headers"].to_str().unwrap();
        assert!(allowed.starts_with("Authorization,Content-Type,User-Agent,Accept,"));
        assert!(allowed.contains("X-Foreman-Priority"));
        let vary: Vec<_> = answer.get_all(header::VARY).iter().collect();
        assert_eq!(
            vary,
            [
                "Origin",
                "Access-Control-Request-Method",
                "Access-Control-Request-Headers"
            ]
        );
    }

    #[test]
    fn a_star_lets_everybody_call() {
        let cors = Cors::new(&["*".to_owned()]);

        let verdict = cors.judge(&Method::GET, &request("http://evil.example", "h"));

        let mut expected = HeaderMap::new();
        expected.insert("access-control-allow-origin", HeaderValue::from_static("*"));
        assert_eq!(verdict, Verdict::Pass(expected));
    }
}
