//! From a request to its handler, and from its reply to HTTP.

use std::{borrow::Cow, convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER},
    request::Parts,
};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::{
    body::{ReplyBody, faulty},
    conn::{Conn, Cut, Raw},
    core::Core,
    cors::{Verdict, judge_host},
    fault::{Fault, Strike},
    gojson::{Node, SyntaxError, first_value},
    model::sha256_hex,
    record::{Kind, Opening, RecordMode, RecordedBody, RequestRecord, Ticket},
    reply::{Payload, Reply},
    routes::{self, Found, Route},
};

/// Answers up to this size are sent with their length, larger ones as a chunk.
const LENGTH_LIMIT: usize = 2048;
/// Bodies above this size are recorded by their digest.
const RECORD_LIMIT: usize = 1 << 20;

/// One request with everything that its handler may need.
#[derive(Debug)]
pub(crate) struct Call {
    /// What all requests share.
    pub(crate) core: Arc<Core>,
    /// Its place in the record.
    pub(crate) ticket: Arc<Ticket>,
    /// The path.
    pub(crate) path: String,
    /// The variable part of the path.
    pub(crate) param: String,
    /// The head.
    pub(crate) head: Parts,
    /// The whole body.
    pub(crate) body: Bytes,
    /// The first JSON value of the body.
    pub(crate) parsed: Result<Node, SyntaxError>,
    /// The fault that strikes this request.
    pub(crate) strike: Option<Strike>,
}

/// Answers one request.
pub(crate) async fn dispatch(
    core: Arc<Core>,
    conn: Arc<Conn>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    let (head, body) = request.into_parts();
    let method = head.method.clone();
    let found = routes::find(&method, &decoded(head.uri.path()));
    let record = record_of(&core, &conn, &head);
    let ticket = Arc::new(core.recorder.arrive(record, found.kind(), &conn));
    let ends = Ends { core, conn, ticket };
    let (mut reply, strike) = match before(&ends.core, &head, &found) {
        Before::Answer(reply) => (reply, None),
        Before::Pass(route, param, extra) => {
            let (mut reply, strike) = ends.handle(route, param, head, body).await;
            reply.headers.extend(extra);
            (reply, strike)
        }
    };
    if let Found::NotAllowed(allow) = &found
        && let Ok(allow) = HeaderValue::from_str(allow)
    {
        reply.headers.insert(ALLOW, allow);
    }
    ends.ticket.answered(reply.status.as_u16());
    Ok(ends.respond(&method, reply, strike))
}

/// A path as routes are looked up: without percent signs, unless they are broken.
fn decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return path.into();
    }
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let byte = part
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (Some(byte), Some(rest)) = (byte, part.get(2..)) else {
            return path.into();
        };
        bytes.push(byte);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_or_else(|_| path.into(), Cow::Owned)
}

enum Before {
    Answer(Reply),
    Pass(Route, String, http::HeaderMap),
}

/// What is decided before the body is read: origin, host, method, path.
fn before(core: &Core, head: &Parts, found: &Found) -> Before {
    // The multiplexer redirects before any of the middleware looks at a request.
    if let Found::Redirect(status, to) = found {
        let to = match head.uri.query() {
            Some(query) => format!("{to}?{query}"),
            None => to.clone(),
        };
        return Before::Answer(redirect(&head.method, *status, &to));
    }
    let extra = match core.settings.origins.judge(&head.method, &head.headers) {
        Verdict::Answer(reply) => return Before::Answer(reply),
        Verdict::Pass(extra) => extra,
    };
    if core.settings.check_host
        && let Some(reply) = judge_host(&head.method, &head.headers)
    {
        return Before::Answer(reply);
    }
    let mut reply = match found {
        Found::Route(route, param) => return Before::Pass(*route, param.clone(), extra),
        Found::NotAllowed(_) => Reply::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "405 method not allowed",
        ),
        Found::Redirect(..) | Found::Nothing => {
            Reply::new(StatusCode::NOT_FOUND, "text/plain", "404 page not found")
        }
    };
    reply.headers.extend(extra);
    Before::Answer(reply)
}

fn redirect(method: &Method, status: StatusCode, to: &str) -> Reply {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut reply = Reply::empty(status);
    let html = "text/html; charset=utf-8";
    if *method == Method::GET {
        let page = format!("<a href=\"{}\">{reason}</a>.\n\n", to.replace('&', "&amp;"));
        reply = Reply::new(status, html, page);
    } else if *method == Method::HEAD {
        // Go writes no page here, and so no length.
        reply = Reply::new(status, html, Bytes::new());
        reply.payload = Payload::Flushed(Bytes::new());
    }
    match HeaderValue::from_str(to) {
        Ok(to) => reply.with(LOCATION, to),
        Err(_) => reply,
    }
}

fn record_of(core: &Core, conn: &Conn, head: &Parts) -> Option<RequestRecord> {
    if core.recorder.mode() == RecordMode::Counters {
        return None;
    }
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    Some(RequestRecord {
        order: 0,
        connection: conn.number,
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(ToOwned::to_owned),
        headers,
        body: RecordedBody::Length(0),
        model: None,
        arrived: core.clock.now(),
        arrived_stamp: 0,
        started: None,
        ended: None,
        status: None,
        chunks: 0,
        bytes: 0,
        end: None,
    })
}

/// What a request is answered with and through.
struct Ends {
    core: Arc<Core>,
    conn: Arc<Conn>,
    ticket: Arc<Ticket>,
}

impl Ends {
    async fn handle(
        &self,
        route: Route,
        param: String,
        head: Parts,
        body: Incoming,
    ) -> (Reply, Option<Strike>) {
        let path = head.uri.path().to_owned();
        if route == Route::BlobUpload {
            self.open(&head, &path, None, &Bytes::new());
            let strike = self.core.faults.strike(&path, None);
            if let Some(reply) = self.before_head(strike.as_ref()).await {
                return (reply, None);
            }
            return (routes::upload(&self.core, &param, body).await, strike);
        }
        let Ok(body) = body.collect().await else {
            // Nobody is there to read this.
            return (Reply::bad("unexpected EOF"), None);
        };
        let body = body.to_bytes();
        let parsed = first_value(&body);
        let model = parsed.as_ref().ok().and_then(model_of);
        self.open(&head, &path, model.as_deref(), &body);
        let strike = self.core.faults.strike(&path, model.as_deref());
        if let Some(reply) = self.before_head(strike.as_ref()).await {
            return (reply, None);
        }
        let (core, ticket) = (Arc::clone(&self.core), Arc::clone(&self.ticket));
        // In a box: it is handed on from handler to handler.
        let call = Box::new(Call {
            core,
            ticket,
            path,
            param,
            head,
            body,
            parsed,
            strike: strike.clone(),
        });
        (Box::pin(routes::handle(route, call)).await, strike)
    }

    /// Writes down what is known once the body was read.
    fn open(&self, head: &Parts, path: &str, model: Option<&str>, body: &Bytes) {
        let method = head.method.as_str();
        self.ticket.open(&Opening {
            method,
            path,
            model,
            body,
        });
        let mode = self.core.recorder.mode();
        self.core.recorder.edit(self.ticket.order(), |request| {
            request.model = model.map(ToOwned::to_owned);
            let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
            request.body = match mode {
                RecordMode::Full if body.len() <= RECORD_LIMIT => RecordedBody::Bytes(body.clone()),
                RecordMode::Full => RecordedBody::Digest {
                    length,
                    sha256: sha256_hex(body),
                },
                RecordMode::WithoutBodies | RecordMode::Counters => RecordedBody::Length(length),
            };
        });
    }

    /// Faults that strike before anything is answered.
    async fn before_head(&self, strike: Option<&Strike>) -> Option<Reply> {
        let strike = strike?;
        match &strike.fault {
            Fault::ResetBeforeHead => self.conn.cut(Cut::Reset).await,
            Fault::CloseBeforeHead => self.conn.cut(Cut::Close).await,
            Fault::DownBeforeHead => {
                self.core.go_down();
                self.conn.cut(Cut::Close).await;
            }
            Fault::Raw(pieces) => {
                self.conn
                    .say(Raw {
                        pieces: pieces.clone(),
                        again: None,
                    })
                    .await;
            }
            Fault::RawWithoutEnd { first, again } => {
                let (pieces, again) = (vec![first.clone()], Some(again.clone()));
                self.conn.say(Raw { pieces, again }).await;
            }
            Fault::StallBeforeHead => strike.released().await,
            Fault::Html => {
                let page = "<html><body><h1>It works!</h1></body></html>\n";
                return Some(Reply::new(StatusCode::OK, "text/html; charset=utf-8", page));
            }
            Fault::Status {
                status,
                body,
                retry_after,
            } => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
                let reply = Reply::new(status, "application/json; charset=utf-8", body.clone());
                let after = retry_after
                    .as_deref()
                    .and_then(|after| HeaderValue::from_str(after).ok());
                return Some(match after {
                    Some(after) => reply.with(RETRY_AFTER, after),
                    None => reply,
                });
            }
            Fault::ResetAfter(_)
            | Fault::CloseAfter(_)
            | Fault::EndAfter(_)
            | Fault::StallAfter(_)
            | Fault::Trickle { .. }
            | Fault::GarbageAfter(_)
            | Fault::ErrorLineAfter { .. }
            | Fault::SlowLoad(_)
            | Fault::LoadFails(_)
            | Fault::ShortBody
            | Fault::DownAfter(_) => {}
        }
        None
    }

    fn respond(self, method: &Method, reply: Reply, strike: Option<Strike>) -> Response<ReplyBody> {
        let Reply {
            status,
            mut headers,
            payload,
        } = reply;
        let length = match &payload {
            Payload::Whole(bytes) if bytes.len() <= LENGTH_LIMIT => Some(bytes.len()),
            Payload::Whole(_) | Payload::Flushed(_) | Payload::Chunks(_) => None,
        };
        let head_only = *method == Method::HEAD;
        if (head_only || strike.is_some())
            && let Some(length) = length
        {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        let short = strike
            .as_ref()
            .is_some_and(|strike| strike.fault == Fault::ShortBody);
        if short && !head_only {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(RECORD_LIMIT));
        }
        let mut response = Response::new(if head_only {
            ReplyBody::whole(Bytes::new(), self.ticket, self.conn)
        } else {
            self.body(payload, length, strike)
        });
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    fn body(self, payload: Payload, length: Option<usize>, strike: Option<Strike>) -> ReplyBody {
        let Self { core, conn, ticket } = self;
        let chunks = match payload {
            Payload::Whole(bytes) if length.is_some() && strike.is_none() => {
                return ReplyBody::whole(bytes, ticket, conn);
            }
            Payload::Whole(bytes) | Payload::Flushed(bytes) => stream::iter([bytes]).boxed(),
            Payload::Chunks(chunks) => chunks,
        };
        let chunks = match strike {
            Some(strike) => faulty(chunks, strike, core, Arc::clone(&conn)),
            None => chunks,
        };
        ReplyBody::chunks(chunks, ticket, conn)
    }
}

/// The model that a body names.
fn model_of(node: &Node) -> Option<String> {
    let named = |key| node.value.field(key).and_then(|node| node.value.text());
    named("model")
        .or_else(|| named("name"))
        .map(ToOwned::to_owned)
}

/// True when the request's content type starts like this.
pub(crate) fn has_type(head: &Parts, wanted: &str) -> bool {
    let found = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    found.is_some_and(|found| found.starts_with(wanted))
}

impl Found {
    fn kind(&self) -> Kind {
        match self {
            Self::Route(route, _) => route.kind(),
            Self::Redirect(..) | Self::NotAllowed(_) | Self::Nothing => Kind::Other,
        }
    }
}
