//! What happens to every request, whatever its route.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request};
use hyper::body::Incoming;

use crate::app::{App, Call};
use crate::auth::Caller;
use crate::cors::Verdict;
use crate::error::ApiError;
use crate::fault::Fault;
use crate::host::HostVerdict;
use crate::io::Wishes;
use crate::record::{Record, Recorded};
use crate::response::{self, Response};
use crate::router::{self, Redirect, Route};
use crate::{routes, shape};

/// Answers the requests of one connection.
#[derive(Clone)]
pub(crate) struct CallerService {
    pub(crate) app: Arc<App>,
    pub(crate) wishes: Arc<Wishes>,
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Recorded>, Infallible>> + Send>>;

impl hyper::service::Service<Request<Incoming>> for CallerService {
    type Response = http::Response<Recorded>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, req: Request<Incoming>) -> Answer {
        let service = self.clone();
        // Boxed, so that each step of the way costs a waiting caller a pointer only.
        let request = Box::new(req);
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}

impl CallerService {
    async fn answer(self, request: Box<Request<Incoming>>) -> http::Response<Recorded> {
        self.wishes.begin_request();
        let uri = request.uri();
        let shape = shape::of_path(uri.path());
        let route = router::route(request.method(), uri.path(), uri.query());
        let metrics = self.app.metrics.clone();
        let mut record = Record::begin(metrics, request.method().clone(), route.class());
        let wishes = Arc::clone(&self.wishes);
        let app = Arc::clone(&self.app);
        let answered = AssertUnwindSafe(self.judge(route, request, &mut record))
            .catch_unwind()
            .await;
        wishes.begin_answer();
        record.follow(answered.unwrap_or_else(|panic| {
            tracing::error!(panic = panic_text(&*panic), "a request met a defect");
            app.metrics.panicked();
            ApiError::internal().response(shape)
        }))
    }

    /// Answers a request once it may come in.
    async fn judge(
        self,
        route: Route,
        request: Box<Request<Incoming>>,
        record: &mut Record,
    ) -> Response {
        let (caller, extra) = match self.admit(&route, &request) {
            Ok(admitted) => admitted,
            Err(response) => return *response,
        };
        record.set_caller(caller.name.clone());
        let call = Call {
            shape: shape::of_path(request.uri().path()),
            app: self.app,
            caller,
            wishes: self.wishes,
            request,
        };
        with_headers(dispatch(route, call).await, extra)
    }

    /// Decides whether a request may come in; gives who calls, and what its answer gets for
    /// browsers.
    fn admit(
        &self,
        route: &Route,
        request: &Request<Incoming>,
    ) -> Result<(Caller, HeaderMap), Box<Response>> {
        let (method, headers) = (request.method(), request.headers());
        let extra = match self.app.cors.judge(method, headers) {
            Verdict::Pass(extra) => extra,
            Verdict::Answer(status, extra) => {
                let response = response::empty(status.as_u16());
                return Err(Box::new(with_headers(response, extra)));
            }
        };
        match self.app.host.judge(&host(request)) {
            HostVerdict::Refuse => return Err(Box::new(response::empty(403))),
            HostVerdict::PassByName if *method == Method::OPTIONS => {
                return Err(Box::new(response::empty(204)));
            }
            HostVerdict::Pass | HostVerdict::PassByName => {}
        }
        match self.app.auth.caller(headers) {
            Some(caller) => Ok((caller, extra)),
            None if route.is_open() => Ok((Caller::unknown(), extra)),
            None => {
                let error = ApiError::new(Fault::Unauthorized, "unauthorized");
                let shape = shape::of_path(request.uri().path());
                Err(Box::new(with_headers(error.response(shape), extra)))
            }
        }
    }
}

/// All but the routes where callers wait are boxed: their room is not held while waiting.
async fn dispatch(route: Route, call: Call) -> Response {
    let shape = call.shape;
    let answered = match route {
        Route::Queued(endpoint) => routes::queued::answer(endpoint, call).await,
        Route::Direct => Box::pin(routes::direct::answer(call)).await,
        Route::Inventory(route) => Box::pin(routes::inventory::answer(route, call)).await,
        Route::Ps => Box::pin(routes::ps::answer(call)).await,
        Route::LiveChange => Box::pin(routes::live::change(call)).await,
        Route::Live => Box::pin(routes::live::answer(call)).await,
        Route::Own(route) => Box::pin(routes::own::answer(route, call)).await,
        Route::NotAllowed(methods) => Ok(not_allowed(methods)),
        Route::Redirect(redirect) => Ok(redirected(&redirect)),
    };
    answered.unwrap_or_else(|error| error.response(shape))
}

fn not_allowed(methods: &'static str) -> Response {
    let mut response = response::text(405, "text/plain", "405 method not allowed");
    let methods = HeaderValue::from_static(methods);
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

fn redirected(redirect: &Redirect) -> Response {
    let (status, words) = if redirect.permanent {
        (301, "Moved Permanently")
    } else {
        (307, "Temporary Redirect")
    };
    let mut response = if redirect.with_text {
        let location = html(&redirect.location);
        let text = format!("<a href=\"{location}\">{words}</a>.\n\n");
        response::text(status, "text/html; charset=utf-8", text)
    } else {
        response::empty(status)
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

/// Returns the host that the caller asked, as it wrote it.
fn host(request: &Request<Incoming>) -> String {
    if let Some(authority) = request.uri().authority() {
        return authority.as_str().to_owned();
    }
    request
        .headers()
        .get(header::HOST)
        .map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned())
        .unwrap_or_default()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text")
}
