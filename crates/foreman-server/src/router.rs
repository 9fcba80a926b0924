//! Which request goes where: the one table of routes.

use std::borrow::Cow;
use std::fmt;

use foreman_job::Endpoint;
use http::Method;

use crate::job_routes::{self, JobsRoute};
use crate::routes::queue::Steer;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// Becomes a job.
    Queued(Endpoint),
    /// Goes straight to the target: embeddings.
    Direct,
    /// Answered from the inventory.
    Inventory(InventoryRoute),
    /// `/api/ps`
    Ps,
    /// Passed through, and changes what the target has.
    LiveChange,
    /// Passed through.
    Live,
    /// Foreman's own.
    Own(OwnRoute),
    /// Foreman's own: asynchronous jobs.
    Jobs(JobsRoute),
    /// Foreman's own path with another method; these are allowed.
    NotAllowed(&'static str),
    /// The path is to be asked for in another spelling.
    Redirect(Redirect),
}

/// What is answered from the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InventoryRoute {
    /// `/api/tags`
    Tags,
    /// `/api/version`
    Version,
    /// `/v1/models`
    Models,
    /// `/v1/models/:model`
    Model(String),
}

/// What foreman answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnRoute {
    /// `/`
    Root,
    /// `/healthz`
    Healthz,
    /// `/readyz`
    Readyz,
    /// `/metrics`
    Metrics,
    /// `/foreman/v1/openapi.json`
    OpenApi,
    /// `/foreman/v1/queue`
    Queue,
    /// `/foreman/v1/queue/pause` and `/resume`
    Steer(Steer),
    /// Foreman's own name space, nothing there.
    NotFound,
}

/// Another spelling of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redirect {
    /// Where to ask.
    pub(crate) location: String,
    /// Whether the caller should remember it.
    pub(crate) permanent: bool,
    /// What the answer has for people.
    pub(crate) text: RedirectText,
}

/// What a redirect has for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedirectText {
    /// A link.
    Whole,
    /// The type of a page and no page, for `HEAD`.
    TypeOnly,
    /// Nothing.
    None,
}

impl RedirectText {
    fn of(method: &Method) -> Self {
        match method.as_str() {
            "GET" => Self::Whole,
            "HEAD" => Self::TypeOnly,
            _ => Self::None,
        }
    }
}

const POST: &[Method] = &[Method::POST];
const HEAD_GET: &[Method] = &[Method::HEAD, Method::GET];
const GET: &[Method] = &[Method::GET];

/// Finds the route of a request.
///
/// The path is compared decoded, as the target does it: no other spelling of a queued route passes
/// through unqueued.
pub(crate) fn route(method: &Method, path: &str, query: Option<&str>) -> Route {
    let Some(decoded) = decode(path) else {
        // The target says what it thinks of a broken path, unless that might lead elsewhere.
        return if clean(path) == path {
            Route::Live
        } else {
            Route::Own(OwnRoute::NotFound)
        };
    };
    let clean = clean(&decoded);
    if clean != decoded {
        return Route::Redirect(Redirect {
            location: with_query(&encode(&clean), query),
            permanent: false,
            text: RedirectText::of(method),
        });
    }
    if let Some((route, methods)) = find(&decoded) {
        if methods.contains(method) {
            return route;
        }
        return Route::NotAllowed(allow(methods));
    }
    if let Some(shorter) = decoded.strip_suffix('/')
        && let Some((_, methods)) = find(shorter)
        && methods.contains(method)
    {
        return Route::Redirect(Redirect {
            location: with_query(&encode(shorter), query),
            permanent: *method == Method::GET,
            text: RedirectText::of(method),
        });
    }
    elsewhere(method, &decoded)
}

/// The routes that foreman answers, or whose requests it must understand.
fn find(path: &str) -> Option<(Route, &'static [Method])> {
    let inventory = |route| (Route::Inventory(route), HEAD_GET);
    let own = |route| (Route::Own(route), HEAD_GET);
    Some(match path {
        "/api/embed" | "/api/embeddings" | "/v1/embeddings" => (Route::Direct, POST),
        "/api/tags" => inventory(InventoryRoute::Tags),
        "/api/version" => inventory(InventoryRoute::Version),
        "/v1/models" => (Route::Inventory(InventoryRoute::Models), GET),
        "/api/ps" => (Route::Ps, GET),
        "/" => own(OwnRoute::Root),
        "/healthz" => own(OwnRoute::Healthz),
        "/readyz" => own(OwnRoute::Readyz),
        "/metrics" => own(OwnRoute::Metrics),
        "/foreman/v1/openapi.json" => own(OwnRoute::OpenApi),
        "/foreman/v1/queue" => own(OwnRoute::Queue),
        "/foreman/v1/queue/pause" => (Route::Own(OwnRoute::Steer(Steer::Pause)), POST),
        "/foreman/v1/queue/resume" => (Route::Own(OwnRoute::Steer(Steer::Resume)), POST),
        _ => {
            if let Ok(endpoint) = path.parse() {
                return Some((Route::Queued(endpoint), POST));
            }
            if let Some(found) = job_routes::find(path) {
                return Some(found);
            }
            let model = path.strip_prefix("/v1/models/")?;
            if model.is_empty() || model.contains('/') {
                return None;
            }
            let route = InventoryRoute::Model(model.to_owned());
            (Route::Inventory(route), GET)
        }
    })
}

fn elsewhere(method: &Method, path: &str) -> Route {
    let is_own = ["/foreman", "/ui"].iter().any(|own| {
        path.strip_prefix(own)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if is_own {
        return Route::Own(OwnRoute::NotFound);
    }
    match path {
        "/api/pull" | "/api/create" | "/api/copy" if *method == Method::POST => Route::LiveChange,
        "/api/delete" if *method == Method::DELETE => Route::LiveChange,
        _ => Route::Live,
    }
}

/// Returns the methods that the target allows on a path which is passed through, if this is none of
/// them.
pub(crate) fn allowed_at_target(method: &Method, path: &str) -> Option<&'static str> {
    let path = decode(path)?;
    let below = |prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
    };
    let methods = match path.as_ref() {
        "/api/show"
        | "/api/pull"
        | "/api/push"
        | "/api/create"
        | "/api/copy"
        | "/api/me"
        | "/api/signout"
        | "/api/experimental/web_search"
        | "/api/experimental/web_fetch" => "POST",
        "/api/delete" => "DELETE",
        "/api/status" | "/api/experimental/model-recommendations" => "GET",
        _ if below("/api/user/keys/") => "DELETE",
        _ if below("/api/blobs/") => "HEAD, POST",
        _ => return None,
    };
    let is_one = methods.split(", ").any(|name| name == method.as_str());
    (!is_one).then_some(methods)
}

fn allow(methods: &[Method]) -> &'static str {
    match methods {
        [Method::POST] => "POST",
        [Method::GET] => "GET",
        [Method::HEAD, Method::GET, Method::POST] => "HEAD, GET, POST",
        [Method::HEAD, Method::GET, Method::DELETE] => "HEAD, GET, DELETE",
        _ => "HEAD, GET",
    }
}

impl Route {
    /// Returns the class, for logs and metrics.
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::Queued(_) => Class::Queued,
            Self::Direct => Class::Direct,
            Self::Inventory(_) => Class::Inventory,
            Self::Ps | Self::LiveChange | Self::Live => Class::Live,
            Self::Own(_) | Self::Jobs(_) | Self::NotAllowed(_) | Self::Redirect(_) => Class::Own,
        }
    }

    /// Tells whether anybody may ask, token or not.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Own(OwnRoute::Root | OwnRoute::Healthz | OwnRoute::Readyz)
        )
    }
}

/// The classes of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// Becomes a job.
    Queued,
    /// Straight to the target.
    Direct,
    /// From the inventory.
    Inventory,
    /// Passed through.
    Live,
    /// Foreman's own.
    Own,
}

impl Class {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Direct => "direct",
            Self::Inventory => "inventory",
            Self::Live => "live",
            Self::Own => "own",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Decodes the percent signs of a path; none when they are broken.
fn decode(path: &str) -> Option<Cow<'_, str>> {
    if !path.contains('%') {
        return Some(Cow::Borrowed(path));
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = hex(rest.next()?)?;
            let low = hex(rest.next()?)?;
            bytes.push((high << 4) | low);
        } else {
            bytes.push(byte);
        }
    }
    Some(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// Encodes what may not stand in a path.
fn encode(path: &str) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/:@!$&'()*+,;=".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(digit(byte >> 4));
            text.push(digit(byte & 0xf));
        }
    }
    text
}

/// Takes doubled slashes and dot segments out of a path, as Go's multiplexer does.
fn clean(path: &str) -> Cow<'_, str> {
    // A name that begins with a dot comes out below as it is.
    let may_be_odd = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.']);
    let is_clean = path.starts_with('/') && !path.as_bytes().windows(2).any(may_be_odd);
    if is_clean || path == "*" || path.is_empty() {
        return Cow::Borrowed(path);
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    let mut text = format!("/{}", parts.join("/"));
    if path.ends_with('/') && text.len() > 1 {
        text.push('/');
    }
    Cow::Owned(text)
}

fn with_query(path: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::job_routes::JobRoute;

    fn redirect(location: &str, permanent: bool, text: RedirectText) -> Route {
        Route::Redirect(Redirect {
            location: location.to_owned(),
            permanent,
            text,
        })
    }

    #[rstest]
    #[case("POST", "/api/chat", Route::Queued(Endpoint::Chat))]
    #[case("POST", "/api/%63hat", Route::Queued(Endpoint::Chat))]
    #[case("POST", "/v1/messages", Route::Queued(Endpoint::V1Messages))]
    #[case(
        "POST",
        "/v1/audio/transcriptions",
        Route::Queued(Endpoint::V1AudioTranscriptions)
    )]
    #[case("POST", "/v1/embeddings", Route::Direct)]
    #[case("HEAD", "/api/tags", Route::Inventory(InventoryRoute::Tags))]
    #[case("GET", "/v1/models/a:b", Route::Inventory(InventoryRoute::Model("a:b".into())))]
    #[case("GET", "/v1/models/a%2Fb", Route::Live)]
    #[case("GET", "/.well-known/a", Route::Live)]
    #[case("GET", "/a/..b/", Route::Live)]
    #[case("GET", "/api/ps", Route::Ps)]
    #[case("POST", "/api/pull", Route::LiveChange)]
    #[case("GET", "/api/pull", Route::Live)]
    #[case("DELETE", "/api/delete", Route::LiveChange)]
    #[case("POST", "/api/blobs/sha256:ab", Route::Live)]
    #[case("GET", "/nope", Route::Live)]
    #[case("GET", "/API/tags", Route::Live)]
    #[case("GET", "/%zz", Route::Live)]
    #[case("GET", "/%zz/../x", Route::Own(OwnRoute::NotFound))]
    #[case("HEAD", "/", Route::Own(OwnRoute::Root))]
    #[case("GET", "/foreman/v1/jobs", Route::Jobs(JobsRoute::All))]
    #[case("POST", "/foreman/v1/jobs", Route::Jobs(JobsRoute::All))]
    #[case("PUT", "/foreman/v1/jobs", Route::NotAllowed("HEAD, GET, POST"))]
    #[case("DELETE", "/foreman/v1/jobs/x", Route::Jobs(JobsRoute::One("x".into(), JobRoute::Job)))]
    #[case("POST", "/foreman/v1/jobs/x", Route::NotAllowed("HEAD, GET, DELETE"))]
    #[case("GET", "/foreman/v1/jobs/x/stream", Route::Jobs(JobsRoute::One("x".into(), JobRoute::Stream)))]
    #[case("GET", "/foreman/v1/jobs/x/cancel", Route::NotAllowed("POST"))]
    #[case("GET", "/foreman/v1/jobs/x/y", Route::Own(OwnRoute::NotFound))]
    #[case("GET", "/foreman/v1/jobs/x/stream/y", Route::Own(OwnRoute::NotFound))]
    #[case("GET", "/foreman/v1/events", Route::Jobs(JobsRoute::Events))]
    #[case("GET", "/foreman/v1/nothing", Route::Own(OwnRoute::NotFound))]
    #[case("HEAD", "/foreman/v1/queue", Route::Own(OwnRoute::Queue))]
    #[case(
        "POST",
        "/foreman/v1/queue/pause",
        Route::Own(OwnRoute::Steer(Steer::Pause))
    )]
    #[case("GET", "/foreman/v1/queue/resume", Route::NotAllowed("POST"))]
    #[case("GET", "/foremanage", Route::Live)]
    #[case("GET", "/ui", Route::Own(OwnRoute::NotFound))]
    #[case("GET", "/api/chat", Route::NotAllowed("POST"))]
    #[case("OPTIONS", "/api/chat", Route::NotAllowed("POST"))]
    #[case("POST", "/", Route::NotAllowed("HEAD, GET"))]
    #[case("POST", "/api/ps", Route::NotAllowed("GET"))]
    #[case("HEAD", "/v1/models", Route::NotAllowed("GET"))]
    #[case("GET", "/api/tags/", redirect("/api/tags", true, RedirectText::Whole))]
    #[case("POST", "/api/chat/", redirect("/api/chat", false, RedirectText::None))]
    #[case("GET", "/api/chat/", Route::Live)]
    #[case("GET", "//api/tags", redirect("/api/tags", false, RedirectText::Whole))]
    #[case(
        "HEAD",
        "/api/tags/",
        redirect("/api/tags", false, RedirectText::TypeOnly)
    )]
    #[case("POST", "/api//chat", redirect("/api/chat", false, RedirectText::None))]
    #[case(
        "POST",
        "/x/../api/chat",
        redirect("/api/chat", false, RedirectText::None)
    )]
    #[case(
        "POST",
        "/x/%2e%2e/api/chat",
        redirect("/api/chat", false, RedirectText::None)
    )]
    fn a_request_goes_where_the_table_says(
        #[case] method: &str,
        #[case] path: &str,
        #[case] expected: Route,
    ) {
        let method = method.parse().unwrap();

        assert_eq!(route(&method, path, None), expected);
    }

    #[test]
    fn a_redirect_keeps_the_query() {
        assert_eq!(
            route(&Method::GET, "//api/tags", Some("a=1")),
            redirect("/api/tags?a=1", false, RedirectText::Whole)
        );
    }
}
