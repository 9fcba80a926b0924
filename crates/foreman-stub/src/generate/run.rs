//! The life of one request for text, in the order in which Ollama checks and does things.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use tokio::time::Instant;

use super::{
    checks::{Refused, check, check_format, find, lease, refused},
    plan::Plan,
    speaker::{Speaker, Totals},
};
use crate::{
    gojson::Obj,
    reply::{JSON, JSON_BARE, Payload, Reply},
    request::{Api, Work, options},
    router::Call,
    routes::error_body,
    scheduler::{Keep, Lease},
};

/// Answers a request for text.
pub(crate) async fn run(call: Box<Call>, work: Box<Work>) -> Reply {
    let (api, stream, order) = (work.api, work.stream, call.ticket.order());
    let reply = match answer(call, work).await {
        Ok(reply) => reply,
        Err(refused) => {
            let Refused {
                status,
                message,
                late,
            } = *refused;
            let body = error_body(api, status, &message, order);
            if message.starts_with("ollama cloud is disabled") {
                return Reply::error(status, &message);
            }
            let flushed = late && stream;
            let content_type = if api.is_native() && !flushed {
                JSON
            } else {
                JSON_BARE
            };
            let body = if api.is_native() { body } else { body + "\n" };
            let reply = Reply::new(status, content_type, Bytes::new());
            let payload = if flushed {
                Payload::Flushed
            } else {
                Payload::Whole
            };
            Reply {
                payload: payload(Bytes::from(body)),
                ..reply
            }
        }
    };
    if stream && matches!(api, Api::Messages | Api::Responses) {
        return reply.with(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    reply
}

async fn answer(call: Box<Call>, mut work: Box<Work>) -> Result<Reply, Box<Refused>> {
    let began = Instant::now();
    let model = find(&call, &work)?;
    if work.empty && work.keep == Some(Keep::NOTHING) && work.api.is_native() {
        call.core.scheduler.unload(&model);
        return Ok(whole(
            work.api,
            work.framer.nothing(call.core.clock.now(), "unload"),
        ));
    }
    let thinks = check(&model, &work)?;
    let options = options(work.options.as_ref())
        .or_else(|text| refused(StatusCode::INTERNAL_SERVER_ERROR, text))?;
    let limit = work.max_tokens.or(options.num_predict);
    let lease = lease(&call, &work, &model, options).await?;
    let load = began.elapsed().as_nanos().max(1);
    speak(
        call,
        work,
        Ready {
            lease,
            began,
            load,
            thinks,
            limit,
        },
    )
    .await
}

/// What is known once the runner is there.
struct Ready {
    lease: Lease,
    began: Instant,
    load: u128,
    thinks: bool,
    limit: Option<i64>,
}

async fn speak(call: Box<Call>, mut work: Box<Work>, ready: Ready) -> Result<Reply, Box<Refused>> {
    let Ready {
        mut lease,
        began,
        load,
        thinks,
        limit,
    } = ready;
    if work.empty {
        return Ok(whole(
            work.api,
            work.framer.nothing(call.core.clock.now(), "load"),
        ));
    }
    if let Some(rendered) = &work.rendered {
        return Ok(Reply::json(debug_info(
            &work,
            call.core.clock.now(),
            rendered,
        )));
    }
    check_format(&work)?;
    let plan = Plan::new(&work, &call.core.settings, thinks, limit);
    lease.take_slot().await;
    let running = call.ticket.take_slot();
    let Work {
        api,
        stream,
        model,
        framer,
        prompt_tokens,
        ..
    } = *work;
    let totals = Totals {
        began,
        load,
        prompt_tokens,
    };
    let held = Some((running, lease));
    let mut speaker = Speaker {
        call,
        model,
        plan,
        held,
        spoken: 0,
        totals,
    };
    speaker.before_first().await?;
    if stream {
        speaker.stream(framer, api).await
    } else {
        speaker.whole(framer, api).await
    }
}

/// An answer that is sent at once.
pub(super) fn whole(api: Api, body: String) -> Reply {
    if api.is_native() {
        return Reply::json(body);
    }
    Reply::new(StatusCode::OK, JSON_BARE, body + "\n")
}

fn debug_info(work: &Work, now: jiff::Timestamp, rendered: &str) -> String {
    let object = Obj::new()
        .str("model", &work.model)
        .str("created_at", &now.to_string());
    let message = Obj::new().str("role", "").str("content", "").end();
    let object = if work.api == Api::Chat {
        object.raw("message", &message)
    } else {
        object.str("response", "")
    };
    let info = Obj::new().str("rendered_template", rendered).end();
    object.put("done", false).raw("_debug_info", &info).end()
}
