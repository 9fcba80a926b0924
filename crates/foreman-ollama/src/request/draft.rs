//! A request body as it is read, before anything is decided.

use std::collections::BTreeSet;

use crate::request::api::Api;
use crate::request::fields::{self, Field, GoType, Spec};
use crate::request::json::{Json, Kind, SyntaxError, Value};
use crate::request::keep_alive::KeepAlive;
use crate::request::messages;
use crate::request::options::Options;
use crate::request::text::{self, quoted};

/// The values that a body gave; of equal keys the last one.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) model: String,
    pub(super) stream: Option<bool>,
    pub(super) keep_alive: Option<KeepAlive>,
    pub(super) options: Options,
    pub(super) shift: Option<bool>,
    /// A format that the target would refuse, as given.
    pub(super) bad_format: Option<String>,
    pub(super) top_logprobs: i64,
    pub(super) max_tokens: i64,
    pub(super) content: Content,
    pub(super) raw: RawMode,
    pub(super) demands: Demands,
    pub(super) encoding_format: String,
    /// Index of the closing brace.
    pub(super) end: usize,
    faults: Faults,
}

/// What there is to work on.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) has_messages: bool,
    pub(super) has_prompt: bool,
    pub(super) input: Input,
}

/// What an embedding is wanted of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Input {
    #[default]
    Absent,
    EmptyText,
    EmptyList,
    Something,
}

/// What is asked of the model that not every model can do.
#[derive(Debug, Default)]
pub(super) struct Demands {
    thinking: bool,
    tools: bool,
    insert: bool,
}

impl Demands {
    /// Tells whether there is any.
    pub(super) fn any(&self) -> bool {
        self.thinking || self.tools || self.insert
    }
}

/// Raw mode and what it excludes.
#[derive(Debug, Default)]
pub(super) struct RawMode {
    on: bool,
    excluded: BTreeSet<Field>,
}

impl RawMode {
    pub(super) fn is_contradicted(&self) -> bool {
        self.on && !self.excluded.is_empty()
    }

    fn exclude(&mut self, field: Field, given: bool) {
        if given {
            self.excluded.insert(field);
        } else {
            self.excluded.remove(&field);
        }
    }
}

/// Why the body cannot be decoded: Go stops at the first of one kind, and keeps the first of the
/// other kind for the end.
#[derive(Debug, Default)]
struct Faults {
    stopping: Option<String>,
    kept: Option<String>,
}

impl Draft {
    /// Reads the first value of a body.
    ///
    /// # Errors
    ///
    /// Where it stops being JSON; faults of types are kept in the draft.
    pub(super) fn read(api: Api, body: &[u8]) -> Result<Self, SyntaxError> {
        let mut draft = Self::default();
        let mut json = Json::new(body);
        if json.peek().ok_or(SyntaxError::Empty)? == b'{' {
            json.begin()?;
            draft.read_object(api, &mut json)?;
            draft.end = json.position().saturating_sub(1);
        } else {
            let kind = json.value()?.kind;
            if kind != Kind::Null {
                draft.faults.kept = Some(format!(
                    "json: cannot unmarshal {} into Go value of type {}",
                    kind.word(),
                    api.go_type()
                ));
            }
        }
        Ok(draft)
    }

    /// Returns the error that decoding would end with.
    pub(super) fn fault(&mut self) -> Option<String> {
        self.faults
            .stopping
            .take()
            .or_else(|| self.faults.kept.take())
    }

    fn read_object(&mut self, api: Api, json: &mut Json<'_>) -> Result<(), SyntaxError> {
        let mut first = true;
        while let Some(key) = json.next_key(first)? {
            first = false;
            // Longer keys cannot be known ones.
            let spec = (key.len() < 256)
                .then(|| fields::find(api, &text::unquoted(key)))
                .flatten();
            match (spec, json.peek()) {
                (Some(spec), Some(b'{')) if spec.field == Field::Options => {
                    json.begin()?;
                    if let Some(number) = self.options.read(json)? {
                        let given = format!("number {}", String::from_utf8_lossy(number));
                        self.keep(type_error(api, spec, &given, "float64"));
                    }
                }
                (Some(spec), Some(b'[')) if spec.field == Field::Messages => {
                    json.begin()?;
                    self.read_messages(api, json)?;
                }
                (Some(spec), _) => {
                    let value = json.value()?;
                    self.member(api, spec, &value);
                }
                (None, _) => {
                    json.value()?;
                }
            }
        }
        Ok(())
    }

    fn read_messages(&mut self, api: Api, json: &mut Json<'_>) -> Result<(), SyntaxError> {
        let found = if api == Api::Chat {
            messages::read(json)?
        } else {
            messages::count(json)?
        };
        self.content.has_messages = found.any;
        if let Some(problem) = found.problem {
            self.stop(problem);
        }
        Ok(())
    }

    fn member(&mut self, api: Api, spec: &Spec, value: &Value<'_>) {
        match (spec.go, value.kind) {
            (_, Kind::Null) => self.null(spec),
            (GoType::Any, _) => self.any(spec.field, value),
            (GoType::Text, Kind::String) => self.text(spec.field, value),
            (GoType::Bool | GoType::OptionalBool, Kind::Bool(flag)) => self.flag(spec.field, flag),
            (GoType::Int, Kind::Number) => {
                if let Ok(number) = value.digits().parse() {
                    self.number(spec.field, number);
                } else {
                    let given = format!("number {}", value.digits());
                    self.keep(type_error(api, spec, &given, spec.go.name()));
                }
            }
            (GoType::Float(_), Kind::Number) => {}
            (GoType::List(_), Kind::Array) => {
                let given = !is_empty_list(value.raw);
                if spec.field == Field::Context {
                    self.raw.exclude(spec.field, given);
                } else if spec.field == Field::Tools {
                    self.demands.tools = given;
                }
            }
            (
                GoType::Text
                | GoType::Bool
                | GoType::OptionalBool
                | GoType::Int
                | GoType::Float(_)
                | GoType::List(_)
                | GoType::Map,
                kind,
            ) => self.keep(type_error(api, spec, kind.word(), spec.go.name())),
        }
    }

    /// Applies `null`: it unsets what can be unset, and leaves the rest as it was.
    fn null(&mut self, spec: &Spec) {
        match spec.field {
            Field::Stream if spec.go == GoType::OptionalBool => self.stream = None,
            Field::Shift => self.shift = None,
            Field::KeepAlive => self.keep_alive = None,
            Field::Format => self.bad_format = None,
            Field::Options => self.options.clear(),
            Field::Messages => self.content.has_messages = false,
            Field::Input => self.content.input = Input::Absent,
            Field::Context => self.raw.exclude(spec.field, false),
            Field::Think => self.demands.thinking = false,
            Field::Tools => self.demands.tools = false,
            Field::Stream
            | Field::Model
            | Field::Prompt
            | Field::Suffix
            | Field::EncodingFormat
            | Field::TopLogprobs
            | Field::MaxTokens
            | Field::Raw
            | Field::System
            | Field::Template
            | Field::Other => {}
        }
    }

    fn any(&mut self, field: Field, value: &Value<'_>) {
        if field == Field::KeepAlive {
            match KeepAlive::from_json(value.raw) {
                Ok(keep_alive) => self.keep_alive = keep_alive,
                Err(error) => self.stop(error.to_string()),
            }
        } else if field == Field::Think {
            self.demands.thinking = value.kind != Kind::Bool(false);
            if let Some(problem) = think_problem(value) {
                self.stop(problem);
            }
        } else if field == Field::Format {
            let good =
                value.kind == Kind::Object || value.is_empty_text() || value.raw == b"\"json\"";
            self.bad_format = (!good).then(|| String::from_utf8_lossy(value.raw).into_owned());
        } else if field == Field::Input {
            self.content.input = match value.kind {
                Kind::String if value.is_empty_text() => Input::EmptyText,
                Kind::Array if is_empty_list(value.raw) => Input::EmptyList,
                Kind::Null
                | Kind::Bool(_)
                | Kind::Number
                | Kind::String
                | Kind::Array
                | Kind::Object => Input::Something,
            };
        }
    }

    fn text(&mut self, field: Field, value: &Value<'_>) {
        let given = !value.is_empty_text();
        if field == Field::Model {
            self.model = value.text();
        } else if field == Field::Prompt {
            self.content.has_prompt = given;
        } else if field == Field::Suffix {
            self.demands.insert = given;
        } else if field == Field::EncodingFormat {
            self.encoding_format = value.text();
        } else if matches!(field, Field::System | Field::Template) {
            self.raw.exclude(field, given);
        }
    }

    fn flag(&mut self, field: Field, flag: bool) {
        if field == Field::Stream {
            self.stream = Some(flag);
        } else if field == Field::Shift {
            self.shift = Some(flag);
        } else if field == Field::Raw {
            self.raw.on = flag;
        }
    }

    fn number(&mut self, field: Field, number: i64) {
        if field == Field::TopLogprobs {
            self.top_logprobs = number;
        } else if field == Field::MaxTokens {
            self.max_tokens = number;
        }
    }

    fn stop(&mut self, problem: String) {
        self.faults.stopping.get_or_insert(problem);
    }

    fn keep(&mut self, problem: String) {
        // What comes after a stop is never decoded.
        if self.faults.stopping.is_none() {
            self.faults.kept.get_or_insert(problem);
        }
    }
}

fn type_error(api: Api, spec: &Spec, given: &str, expected: &str) -> String {
    let (place, name) = (api.go_struct(), spec.name);
    format!("json: cannot unmarshal {given} into Go struct field {place}.{name} of type {expected}")
}

fn is_empty_list(raw: &[u8]) -> bool {
    raw.strip_prefix(b"[")
        .is_some_and(|rest| rest.trim_ascii_start() == b"]")
}

fn think_problem(value: &Value<'_>) -> Option<String> {
    const CHOICES: &str = r#""high", "medium", "low", "max", true, or false"#;
    match value.kind {
        Kind::Bool(_) | Kind::Null => None,
        Kind::String => {
            let level = value.text();
            let known = ["high", "medium", "low", "max"].contains(&level.as_str());
            (!known).then(|| {
                format!(
                    "invalid think value: {} (must be {CHOICES})",
                    quoted(&level)
                )
            })
        }
        Kind::Number | Kind::Array | Kind::Object => {
            Some(format!("think must be a boolean or string ({CHOICES})"))
        }
    }
}
