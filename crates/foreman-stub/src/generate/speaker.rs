//! Says a plan: event by event while it holds the runner's slot.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use tokio::time::{self, Instant};

use super::{
    checks::{Refused, refused},
    directive::Ending,
    plan::{Plan, Token, logprobs},
    run::whole,
};
use crate::{
    frame::{Answer, Event, Final, Framer},
    record::Running,
    reply::{NDJSON, Reply, SSE},
    request::Api,
    router::Call,
    scheduler::Lease,
};

const CRASHED: &str = "model runner has unexpectedly stopped, this may be due to resource \
    limitations or an internal error, check ollama server logs for details";
const BROKEN: &str = "an error was encountered while running the model: unexpected EOF";
const ERROR_400: &str =
    r#"{"error": {"code": 400, "message": "bad thing", "type": "invalid_request_error"}}"#;
const ERROR_500: &str = r#"{"error": {"code": 500, "message": "boom", "type": "server_error"}}"#;

/// Figures that only the end tells.
pub(super) struct Totals {
    pub(super) began: Instant,
    pub(super) load: u128,
    pub(super) prompt_tokens: usize,
}

/// Says a plan, token by token, while it holds the runner's slot.
pub(super) struct Speaker {
    pub(super) call: Box<Call>,
    pub(super) model: String,
    pub(super) plan: Plan,
    /// The slot; given back before the last event is handed out.
    pub(super) held: Option<(Running, Lease)>,
    pub(super) spoken: usize,
    pub(super) totals: Totals,
}

impl Speaker {
    /// Ends that come before the first token.
    pub(super) async fn before_first(&mut self) -> Result<(), Box<Refused>> {
        if !self.plan.first.is_zero() {
            time::sleep(self.plan.first).await;
        }
        let (status, message) = match self.plan.ending {
            Ending::Error400 => (StatusCode::BAD_REQUEST, ERROR_400),
            Ending::Error500 => (StatusCode::INTERNAL_SERVER_ERROR, ERROR_500),
            Ending::Crash0 => {
                self.crash();
                (StatusCode::INTERNAL_SERVER_ERROR, CRASHED)
            }
            Ending::Done | Ending::NoDone | Ending::ErrorMid => return Ok(()),
        };
        Err(Box::new(Refused {
            status,
            message: message.to_owned(),
            late: true,
        }))
    }

    fn crash(&mut self) {
        if let Some((running, lease)) = self.held.take() {
            drop(running);
            lease.crash();
        }
    }

    /// The next event; `None` after the last.
    async fn next(&mut self) -> Option<Event> {
        self.held.as_ref()?;
        if self.spoken > 0 && !self.plan.pace.is_zero() {
            time::sleep(self.plan.pace).await;
        }
        self.call
            .core
            .gates
            .pass_chunk(self.spoken, &self.call.path, &self.model)
            .await;
        let token = self.plan.take_token(self.spoken);
        self.spoken += 1;
        match token {
            Some(Token::Thought(text)) => Some(Event::Thinking(text.to_owned())),
            Some(Token::Text(text)) => {
                let logprobs = self.plan.logprobs.map(|count| logprobs(&text, count));
                Some(Event::Text(text, logprobs))
            }
            None => self.end(),
        }
    }

    fn end(&mut self) -> Option<Event> {
        match self.plan.ending {
            Ending::ErrorMid => {
                self.crash();
                Some(Event::Broken(BROKEN.to_owned()))
            }
            Ending::NoDone => {
                self.held = None;
                None
            }
            Ending::Done | Ending::Error400 | Ending::Error500 | Ending::Crash0 => {
                self.held = None;
                Some(Event::Done(Final {
                    reason: self.plan.reason,
                    tool: self.plan.tool.clone(),
                    prompt_tokens: self.totals.prompt_tokens,
                    tokens: self.plan.tokens,
                    total: self.totals.began.elapsed().as_nanos().max(2),
                    load: self.totals.load,
                }))
            }
        }
    }

    /// Waits for the first event, then answers with a stream.
    pub(super) async fn stream(
        mut self,
        framer: Box<dyn Framer>,
        api: Api,
    ) -> Result<Reply, Box<Refused>> {
        let first = self.next().await;
        if let Some(Event::Broken(message)) = first {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return Err(Box::new(Refused {
                status,
                message,
                late: true,
            }));
        }
        let chunks = stream::unfold(Talk::begin(self, framer, first), Talk::next);
        let content_type = if api.is_native() { NDJSON } else { SSE };
        Ok(Reply::stream(content_type, Box::pin(chunks)))
    }

    /// Says everything, then answers at once.
    pub(super) async fn whole(
        mut self,
        mut framer: Box<dyn Framer>,
        api: Api,
    ) -> Result<Reply, Box<Refused>> {
        let mut answer = Answer::default();
        while let Some(event) = self.next().await {
            match event {
                Event::Thinking(text) => answer.thinking.push_str(&text),
                Event::Text(text, logprobs) => {
                    answer.text.push_str(&text);
                    if let Some(logprobs) = logprobs {
                        if !answer.logprobs.is_empty() {
                            answer.logprobs.push(',');
                        }
                        answer.logprobs.push_str(&logprobs);
                    }
                }
                Event::Done(done) => answer.done = Some(done),
                Event::Broken(text) => return refused(StatusCode::INTERNAL_SERVER_ERROR, text),
            }
            answer.started = true;
        }
        Ok(whole(
            api,
            framer.whole(self.call.core.clock.now(), &answer),
        ))
    }
}

/// A speaker with the framer that writes down what it says.
struct Talk {
    speaker: Speaker,
    framer: Box<dyn Framer>,
    ready: VecDeque<Bytes>,
}

impl Talk {
    fn begin(speaker: Speaker, framer: Box<dyn Framer>, first: Option<Event>) -> Self {
        let mut talk = Self {
            speaker,
            framer,
            ready: VecDeque::new(),
        };
        if let Some(event) = first {
            talk.frame(&event);
        }
        talk
    }

    fn frame(&mut self, event: &Event) {
        let now = self.speaker.call.core.clock.now();
        self.ready.extend(self.framer.event(now, event));
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        while self.ready.is_empty() {
            let event = self.speaker.next().await?;
            self.frame(&event);
        }
        let chunk = self.ready.pop_front()?;
        Some((chunk, self))
    }
}
