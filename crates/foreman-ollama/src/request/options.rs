//! The options of a request: which make the target load a model anew, and which it would refuse.

use std::collections::BTreeMap;
use std::fmt;

use crate::request::json::{Json, Kind, SyntaxError, Value};
use crate::request::text::quoted;

/// The options that the target compares with a loaded model's before it uses that again.
///
/// Only what a request gives: an absent option is not the same as its default, given. Equal values
/// have equal texts, and no options give the empty text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoadOptions {
    /// Size of the context window.
    pub num_ctx: Option<i64>,
    /// Batch size of prompt evaluation.
    pub num_batch: Option<i64>,
    /// Layers on the GPU.
    pub num_gpu: Option<i64>,
    /// The GPU for small tensors.
    pub main_gpu: Option<i64>,
    /// Whether the weights are mapped into memory.
    pub use_mmap: Option<bool>,
    /// Threads of the CPU.
    pub num_thread: Option<i64>,
    /// Tokens drafted ahead.
    pub draft_num_predict: Option<i64>,
    /// Whether a full context moves on; stands beside the options, not among them.
    pub shift: Option<bool>,
}

impl LoadOptions {
    /// Tells whether the request gives none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for LoadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: Option<i64>| value.map(|value| value.to_string());
        let flag = |value: Option<bool>| value.map(|value| value.to_string());
        let parts = [
            ("num_ctx", number(self.num_ctx)),
            ("num_batch", number(self.num_batch)),
            ("num_gpu", number(self.num_gpu)),
            ("main_gpu", number(self.main_gpu)),
            ("use_mmap", flag(self.use_mmap)),
            ("num_thread", number(self.num_thread)),
            ("draft_num_predict", number(self.draft_num_predict)),
            ("shift", flag(self.shift)),
        ];
        let mut comma = "";
        for (name, value) in parts {
            if let Some(value) = value {
                write!(f, "{comma}{name}={value}")?;
                comma = ",";
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OptionType {
    Integer,
    Float,
    Boolean,
    Texts,
}

/// The options that the target knows; it ignores others. Their names keep their case.
const KNOWN: [(&str, OptionType); 20] = [
    ("num_ctx", OptionType::Integer),
    ("num_batch", OptionType::Integer),
    ("num_gpu", OptionType::Integer),
    ("main_gpu", OptionType::Integer),
    ("use_mmap", OptionType::Boolean),
    ("num_thread", OptionType::Integer),
    ("draft_num_predict", OptionType::Integer),
    ("num_keep", OptionType::Integer),
    ("seed", OptionType::Integer),
    ("num_predict", OptionType::Integer),
    ("top_k", OptionType::Integer),
    ("top_p", OptionType::Float),
    ("min_p", OptionType::Float),
    ("typical_p", OptionType::Float),
    ("repeat_last_n", OptionType::Integer),
    ("temperature", OptionType::Float),
    ("repeat_penalty", OptionType::Float),
    ("presence_penalty", OptionType::Float),
    ("frequency_penalty", OptionType::Float),
    ("stop", OptionType::Texts),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Given {
    Null,
    Number(f64),
    Bool(bool),
    Texts,
    OtherList,
    Other,
}

/// The options of one request, as given.
#[derive(Debug, Default)]
pub(super) struct Options {
    given: BTreeMap<&'static str, Given>,
}

impl Options {
    /// Forgets what was given: `null` does.
    pub(super) fn clear(&mut self) {
        self.given.clear();
    }

    /// Reads the members of the object that was just opened, over what earlier ones gave.
    ///
    /// Returns a number that is too large for any of them.
    pub(super) fn read<'a>(
        &mut self,
        json: &mut Json<'a>,
    ) -> Result<Option<&'a [u8]>, SyntaxError> {
        let mut too_large = None;
        let mut first = true;
        while let Some(key) = json.next_key(first)? {
            first = false;
            let value = json.value()?;
            let given = Given::of(&value);
            if matches!(given, Given::Number(number) if number.is_infinite()) {
                too_large = too_large.or(Some(value.raw));
            }
            // Longer keys cannot be known ones.
            if key.len() < 256 {
                let key = crate::request::text::unquoted(key);
                if let Some((name, _)) = KNOWN.iter().find(|(name, _)| *name == key) {
                    self.given.insert(name, given);
                }
            }
        }
        Ok(too_large)
    }

    /// Returns what the target would say of an option of the wrong type.
    pub(super) fn wrong_type(&self) -> Option<String> {
        KNOWN.iter().find_map(|(name, expected)| {
            let given = self.given.get(name)?;
            let wanted = wanted(*expected, *given)?;
            Some(format!("option {} must be {wanted}", quoted(name)))
        })
    }

    pub(super) fn load_options(&self, shift: Option<bool>) -> LoadOptions {
        LoadOptions {
            num_ctx: self.integer("num_ctx"),
            num_batch: self.integer("num_batch"),
            num_gpu: self.integer("num_gpu"),
            main_gpu: self.integer("main_gpu"),
            use_mmap: match self.given.get("use_mmap") {
                Some(Given::Bool(value)) => Some(*value),
                Some(_) | None => None,
            },
            num_thread: self.integer("num_thread"),
            draft_num_predict: self.integer("draft_num_predict"),
            shift,
        }
    }

    fn integer(&self, name: &str) -> Option<i64> {
        match self.given.get(name) {
            Some(Given::Number(number)) => Some(truncated(*number)),
            Some(_) | None => None,
        }
    }
}

impl Given {
    fn of(value: &Value<'_>) -> Self {
        match value.kind {
            Kind::Null => Self::Null,
            Kind::Bool(flag) => Self::Bool(flag),
            Kind::Number => Self::Number(value.digits().parse().unwrap_or(f64::INFINITY)),
            Kind::Array if is_texts(value.raw) => Self::Texts,
            Kind::Array => Self::OtherList,
            Kind::String | Kind::Object => Self::Other,
        }
    }
}

/// Returns what should have been given instead, if it is wrong.
fn wanted(expected: OptionType, given: Given) -> Option<&'static str> {
    match (expected, given) {
        (_, Given::Null)
        | (OptionType::Integer | OptionType::Float, Given::Number(_))
        | (OptionType::Boolean, Given::Bool(_))
        | (OptionType::Texts, Given::Texts) => None,
        (OptionType::Integer, _) => Some("of type integer"),
        (OptionType::Float, _) => Some("of type float32"),
        (OptionType::Boolean, _) => Some("of type boolean"),
        (OptionType::Texts, Given::OtherList) => Some("of an array of strings"),
        (OptionType::Texts, _) => Some("of type array"),
    }
}

fn is_texts(raw: &[u8]) -> bool {
    let mut json = Json::new(raw);
    let mut first = true;
    if json.begin() != Ok(Kind::Array) {
        return false;
    }
    while let Ok(true) = json.next_element(first) {
        first = false;
        if !json.value().is_ok_and(|value| value.kind == Kind::String) {
            return false;
        }
    }
    true
}

/// Cuts the fraction off, as the target does with a float for an integer.
fn truncated(number: f64) -> i64 {
    let whole = format!("{:.0}", number.trunc());
    whole
        .parse()
        .unwrap_or(if number < 0.0 { i64::MIN } else { i64::MAX })
}
