//! What happens to every request, whatever its route.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use foreman_ollama::Shape;
use futures_util::FutureExt;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Version};
use hyper::body::Incoming;

use crate::app::{App, Call};
use crate::auth::Caller;
use crate::caps::OpenRequest;
use crate::cors::Verdict;
use crate::error::ApiError;
use crate::fault::Fault;
use crate::host::HostVerdict;
use crate::io::Wishes;
use crate::job_routes::{JobRoute, JobsRoute};
use crate::record::{Record, Recorded};
use crate::reserve::PlaceKind;
use crate::response::{self, Response};
use crate::router::{self, Redirect, RedirectText, Route};
use crate::{routes, shape};

/// Answers the requests of one connection.
#[derive(Clone)]
pub(crate) struct CallerService {
    pub(crate) app: Arc<App>,
    pub(crate) wishes: Arc<Wishes>,
    pub(crate) place: PlaceKind,
}

const PLAIN: &str = "text/plain; charset=utf-8";

type Dispatched = Pin<Box<dyn Future<Output = Result<Response, ApiError>> + Send>>;
type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Recorded>, Infallible>> + Send>>;

impl hyper::service::Service<Request<Incoming>> for CallerService {
    type Response = http::Response<Recorded>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, req: Request<Incoming>) -> Answer {
        // Now, and not when the future is first looked at: the head has come.
        self.wishes.begin_request();
        let service = self.clone();
        // Boxed, so that each step of the way costs a waiting caller a pointer only.
        let request = Box::new(req);
        Box::pin(service.answer(request).map(Ok))
    }
}

/// A request on its way to its route.
struct Admitted {
    dispatched: Dispatched,
    /// What its answer gets for browsers.
    extra: Option<Box<HeaderMap>>,
    shape: Shape,
}

impl Admitted {
    /// Answers it; a block and not an `async fn`, which has room for its arguments twice.
    fn answer(self) -> impl Future<Output = Response> + Send {
        let Self {
            dispatched,
            extra,
            shape,
        } = self;
        async move {
            let response = match dispatched.await {
                Ok(response) => response,
                Err(error) => error.response(shape),
            };
            match extra {
                Some(extra) => with_headers(response, *extra),
                None => response,
            }
        }
    }
}

impl CallerService {
    /// Answers a request. What is known at once is found out before the first await, so that a
    /// waiting caller does not hold it.
    fn answer(
        self,
        request: Box<Request<Incoming>>,
    ) -> impl Future<Output = http::Response<Recorded>> + Send {
        let uri = request.uri();
        let shape = shape::of_path(uri.path());
        let route = router::route(request.method(), uri.path(), uri.query());
        let (app, wishes) = (Arc::clone(&self.app), Arc::clone(&self.wishes));
        let mut record = Record::begin(app, wishes, request.method().clone(), route.class());
        let is_last = self.place == PlaceKind::Reserved || is_oddly_framed(request.headers());
        let judging = || self.judge(route, request, &mut record);
        let judged = catch_unwind(AssertUnwindSafe(judging));
        async move {
            let answered = match judged {
                Ok(Ok(admitted)) => AssertUnwindSafe(admitted.answer()).catch_unwind().await,
                Ok(Err(response)) => Ok(*response),
                Err(panic) => Err(panic),
            };
            let mut response = answered.unwrap_or_else(|panic| {
                tracing::error!(panic = panic_text(&*panic), "a request met a defect");
                record.panicked();
                ApiError::internal().response(shape)
            });
            if is_last {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            record.follow(response)
        }
    }

    /// Decides whether a request may come in, and sends it on its way; else gives its answer.
    fn judge(
        self,
        route: Route,
        request: Box<Request<Incoming>>,
        record: &mut Record,
    ) -> Result<Admitted, Box<Response>> {
        if let Route::Redirect(redirect) = &route {
            return Err(Box::new(self.redirect(redirect, &request)));
        }
        let (caller, extra) = self.admit(&route, &request)?;
        record.set_caller(caller.name.clone());
        let shape = shape::of_path(request.uri().path());
        match self.enter(&route, &caller, request.uri().query()) {
            Ok(open) => record.keep_open(open),
            Err(error) => return Err(Box::new(with_headers(error.response(shape), extra))),
        }
        let call = Call {
            app: self.app,
            caller,
            wishes: self.wishes,
            request,
        };
        Ok(Admitted {
            dispatched: dispatch(route, call),
            extra: (!extra.is_empty()).then(|| Box::new(extra)),
            shape,
        })
    }

    /// Tells a caller of a better spelling: as at the target before all else, but not to one
    /// without a token where there are tokens.
    fn redirect(&self, redirect: &Redirect, request: &Request<Incoming>) -> Response {
        if let Some(words) = malformed(request) {
            return response::text(400, PLAIN, words);
        }
        if self.app.auth.caller(request.headers()).is_none() {
            let error = ApiError::new(Fault::Unauthorized, "unauthorized");
            return error.response(shape::of_path(request.uri().path()));
        }
        redirected(redirect)
    }

    /// Counts a request of a caller as long as it is open; refuses one too many.
    fn enter(
        &self,
        route: &Route,
        caller: &Caller,
        query: Option<&str>,
    ) -> Result<Option<OpenRequest>, ApiError> {
        if matches!(route, Route::Own(_)) {
            return Ok(None);
        }
        if self.place == PlaceKind::Reserved {
            let message = "as many connections are open as may";
            return Err(ApiError::new(Fault::TooManyConnections, message));
        }
        caller.ask()?;
        match route {
            Route::Queued(_) => caller.open_request(),
            Route::Jobs(route) if watches(route, query) => caller.watching().map(Some),
            Route::Direct
            | Route::Inventory(_)
            | Route::Ps
            | Route::LiveChange
            | Route::Live
            | Route::Jobs(_)
            | Route::Own(_)
            | Route::NotAllowed(_)
            | Route::Redirect(_) => Ok(None),
        }
    }

    /// Decides whether a request may come in; gives who calls, and what its answer gets for
    /// browsers.
    fn admit(
        &self,
        route: &Route,
        request: &Request<Incoming>,
    ) -> Result<(Caller, HeaderMap), Box<Response>> {
        let (method, headers) = (request.method(), request.headers());
        if let Some(words) = malformed(request) {
            return Err(Box::new(response::text(400, PLAIN, words)));
        }
        let extra = match self.app.cors.judge(method, headers) {
            Verdict::Pass(extra) => extra,
            Verdict::Answer(status, extra) => {
                return Err(Box::new(with_headers(
                    turned_away(status.as_u16(), route, request),
                    extra,
                )));
            }
        };
        match self.app.host.judge(&host(request)) {
            HostVerdict::Refuse => return Err(Box::new(turned_away(403, route, request))),
            HostVerdict::PassByName if *method == Method::OPTIONS => {
                return Err(Box::new(turned_away(204, route, request)));
            }
            HostVerdict::Pass | HostVerdict::PassByName => {}
        }
        match self.app.auth.caller(headers) {
            Some(caller) => Ok((caller, extra)),
            None if route.is_open() => Ok((self.app.auth.unknown(), extra)),
            None => {
                let error = ApiError::new(Fault::Unauthorized, "unauthorized");
                let shape = shape::of_path(request.uri().path());
                Err(Box::new(with_headers(error.response(shape), extra)))
            }
        }
    }
}

/// Tells whether a request stays open until something happens to jobs.
fn watches(route: &JobsRoute, query: Option<&str>) -> bool {
    match route {
        JobsRoute::Events | JobsRoute::One(_, JobRoute::Stream) => true,
        JobsRoute::One(_, JobRoute::Job | JobRoute::Output) => {
            query.is_some_and(|query| !query.is_empty())
        }
        JobsRoute::All
        | JobsRoute::One(_, JobRoute::Request | JobRoute::Cancel | JobRoute::Retry) => false,
    }
}

/// Sends a request to its route; boxed, so that no route holds the room that another needs.
fn dispatch(route: Route, call: Call) -> Dispatched {
    match route {
        Route::Queued(endpoint) => Box::pin(routes::queued::answer(endpoint, call)),
        Route::Direct => Box::pin(routes::direct::answer(call)),
        Route::Inventory(route) => Box::pin(routes::inventory::answer(route, call)),
        Route::Ps => Box::pin(routes::ps::answer(call)),
        Route::LiveChange => Box::pin(routes::live::change(call)),
        Route::Live => Box::pin(routes::live::answer(call)),
        Route::Jobs(route) => Box::pin(routes::jobs::answer(route, call)),
        Route::Own(route) => Box::pin(routes::own::answer(route, call)),
        Route::NotAllowed(methods) => Box::pin(ready(Ok(not_allowed(methods)))),
        Route::Redirect(redirect) => Box::pin(ready(Ok(redirected(&redirect)))),
    }
}

fn not_allowed(methods: &'static str) -> Response {
    let response = response::text(405, "text/plain", "405 method not allowed");
    allowing(response, methods)
}

/// Answers before the route is looked at; Ollama has written `Allow` by then.
fn turned_away(status: u16, route: &Route, request: &Request<Incoming>) -> Response {
    let response = response::empty(status);
    match route {
        Route::NotAllowed(methods) => allowing(response, methods),
        Route::Live => match router::allowed_at_target(request.method(), request.uri().path()) {
            Some(methods) => allowing(response, methods),
            None => response,
        },
        Route::Queued(_)
        | Route::Direct
        | Route::Inventory(_)
        | Route::Ps
        | Route::LiveChange
        | Route::Jobs(_)
        | Route::Own(_)
        | Route::Redirect(_) => response,
    }
}

fn allowing(mut response: Response, methods: &'static str) -> Response {
    let methods = HeaderValue::from_static(methods);
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

/// Tells whether a request says more of its framing than that it comes in chunks.
///
/// What follows such a request is not another one, whatever a proxy in front takes it for. One with
/// a length beside its chunks is closed by hyper, which forgets the length.
fn is_oddly_framed(headers: &HeaderMap) -> bool {
    let mut framings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(first) = framings.next() else {
        return false;
    };
    framings.next().is_some() || !first.as_bytes().eq_ignore_ascii_case(b"chunked")
}

fn redirected(redirect: &Redirect) -> Response {
    let (status, words) = if redirect.permanent {
        (301, "Moved Permanently")
    } else {
        (307, "Temporary Redirect")
    };
    let page = "text/html; charset=utf-8";
    let mut response = match redirect.text {
        RedirectText::Whole => {
            let location = html(&redirect.location);
            let text = format!("<a href=\"{location}\">{words}</a>.\n\n");
            response::text(status, page, text)
        }
        RedirectText::TypeOnly => response::text(status, page, ""),
        RedirectText::None => response::empty(status),
    };
    if let Ok(location) = HeaderValue::from_str(&redirect.location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

fn with_headers(mut response: Response, extra: HeaderMap) -> Response {
    // Appended: `Vary` may be there already.
    let mut last = None;
    for (name, value) in extra {
        last = name.or(last);
        if let Some(name) = &last {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// Says, in the words of Go's server, why a request is none.
fn malformed(request: &Request<Incoming>) -> Option<&'static str> {
    if *request.method() == Method::CONNECT {
        return Some("400 Bad Request");
    }
    match request.headers().get_all(header::HOST).iter().count() {
        0 if request.version() == Version::HTTP_11 => {
            Some("400 Bad Request: missing required Host header")
        }
        0 | 1 => None,
        _ => Some("400 Bad Request: too many Host headers"),
    }
}

/// Returns the host that the caller asked, as it wrote it.
fn host(request: &Request<Incoming>) -> Cow<'_, str> {
    if let Some(authority) = request.uri().authority() {
        return Cow::Borrowed(authority.as_str());
    }
    request
        .headers()
        .get(header::HOST)
        .map(|host| String::from_utf8_lossy(host.as_bytes()))
        .unwrap_or_default()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, F: Future>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_waiting_caller_holds_little_room() {
        let whole = size(CallerService::answer) + size(routes::queued::answer);

        // Ten thousand callers wait on an ordinary day. It was 248 when this was written.
        assert!(whole <= 320, "{whole}");
    }
}
