//! Who may call: browser origins, and the names under which a loopback server is reached.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_MAX_AGE, HOST, ORIGIN, VARY,
    },
};

use crate::reply::Reply;

const HEADERS: &str = "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,\
    X-Stainless-Arch,X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,\
    X-Stainless-Lang,X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,\
    X-Stainless-Retry-Count,X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout";
const METHODS: &str = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS";
const SCHEMES: [&str; 5] = [
    "app://",
    "file://",
    "tauri://",
    "vscode-webview://",
    "vscode-file://",
];

/// Which browser origins are let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origins {
    /// Local ones, and applications.
    #[default]
    Local,
    /// All.
    Any,
}

/// What the origin of a request leads to.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The request is answered here.
    Answer(Reply),
    /// The request goes on, and its answer gets these headers.
    Pass(HeaderMap),
}

impl Origins {
    /// Judges a request by its `Origin`.
    pub(crate) fn judge(&self, method: &Method, headers: &HeaderMap) -> Verdict {
        let Some(origin) = headers.get(ORIGIN) else {
            return Verdict::Pass(HeaderMap::new());
        };
        let host = headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default();
        let text = origin.to_str().unwrap_or_default();
        if text.is_empty() || text == format!("http://{host}") || text == format!("https://{host}")
        {
            return Verdict::Pass(HeaderMap::new());
        }
        if *self == Self::Local && !is_local(text) {
            return Verdict::Answer(Reply::empty(StatusCode::FORBIDDEN));
        }
        let any = *self == Self::Any;
        let allowed = if any {
            HeaderValue::from_static("*")
        } else {
            origin.clone()
        };
        if *method == Method::OPTIONS {
            return Verdict::Answer(preflight(allowed, any));
        }
        let mut extra = HeaderMap::new();
        extra.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if !any {
            extra.insert(VARY, HeaderValue::from_static("Origin"));
        }
        Verdict::Pass(extra)
    }
}

fn preflight(allowed: HeaderValue, any: bool) -> Reply {
    let mut reply = Reply::empty(StatusCode::NO_CONTENT)
        .with(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(HEADERS),
        )
        .with(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(METHODS),
        )
        .with(ACCESS_CONTROL_ALLOW_ORIGIN, allowed)
        .with(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("43200"));
    if !any {
        for name in [
            "Origin",
            "Access-Control-Request-Method",
            "Access-Control-Request-Headers",
        ] {
            reply = reply.with(VARY, HeaderValue::from_static(name));
        }
    }
    reply
}

fn is_local(origin: &str) -> bool {
    if SCHEMES.iter().any(|scheme| origin.starts_with(scheme)) {
        return true;
    }
    let rest = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split(':').next().unwrap_or(rest));
    matches!(host, Some("localhost" | "127.0.0.1" | "0.0.0.0"))
}

/// Judges the Host header of a request to a server on loopback; `None` lets it in.
pub(crate) fn judge_host(method: &Method, headers: &HeaderMap) -> Option<Reply> {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = host_name(host);
    if let Ok(ip) = name.parse::<IpAddr>() {
        return (!is_near(ip)).then(|| Reply::empty(StatusCode::FORBIDDEN));
    }
    let name = name.to_ascii_lowercase();
    let known = name.is_empty()
        || name == "localhost"
        || [".localhost", ".local", ".internal"]
            .iter()
            .any(|suffix| name.ends_with(suffix));
    if !known {
        return Some(Reply::empty(StatusCode::FORBIDDEN));
    }
    (*method == Method::OPTIONS).then(|| Reply::empty(StatusCode::NO_CONTENT))
}

/// The host without its port and brackets.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match host.rsplit_once(':') {
        Some((name, _)) if !name.contains(':') => name,
        Some(_) | None => host,
    }
}

fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(http::HeaderName, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_local_origins_are_let_in() {
        let judge = |origin: &'static str| {
            let headers = headers(&[(HOST, "box:11434"), (ORIGIN, origin)]);
            match Origins::Local.judge(&Method::POST, &headers) {
                Verdict::Answer(reply) => reply.status.as_u16(),
                Verdict::Pass(extra) => u16::try_from(extra.len()).unwrap(),
            }
        };

        assert_eq!(judge("http://localhost:3000"), 2);
        assert_eq!(judge("tauri://x"), 2);
        assert_eq!(judge("http://box:11434"), 0, "same origin");
        assert_eq!(judge("http://evil.example"), 403);
        assert_eq!(judge("http://localhost.evil.example"), 403);
    }

    #[test]
    fn a_loopback_server_knows_its_own_names() {
        let judge = |method: &Method, host: &'static str| {
            judge_host(method, &headers(&[(HOST, host)])).map(|reply| reply.status.as_u16())
        };

        for near in [
            "127.0.0.1:1",
            "[::1]:1",
            "192.168.1.7",
            "localhost:2",
            "mac.local",
            "",
        ] {
            assert_eq!(judge(&Method::GET, near), None, "{near}");
        }
        assert_eq!(judge(&Method::GET, "evil.example"), Some(403));
        assert_eq!(judge(&Method::GET, "8.8.8.8"), Some(403));
        assert_eq!(judge(&Method::OPTIONS, "localhost:1"), Some(204));
        assert_eq!(judge(&Method::OPTIONS, "127.0.0.1:1"), None);
    }
}
