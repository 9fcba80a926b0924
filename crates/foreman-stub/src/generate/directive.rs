//! Directives: words at the start of a prompt that script the answer to it.

use std::time::Duration;

use crate::duration::parse_duration;

/// What the prompt asks the stub to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Directives {
    /// `stub:tokens=N`: the answer has this many tokens.
    pub(super) tokens: Option<usize>,
    /// `stub:pace=DURATION`: the time between tokens.
    pub(super) pace: Option<Duration>,
    /// `stub:first=DURATION`: the time before the first token.
    pub(super) first: Duration,
    /// `stub:toolcall` or `stub:toolcall=ARGUMENTS`: calls the first tool that is offered.
    pub(super) tool_call: Option<Call>,
    /// `stub:nothoughts`: a model that can think does not.
    pub(super) no_thoughts: bool,
    /// `stub:nologprobs`: the runner tells no log probabilities.
    pub(super) no_logprobs: bool,
    /// How the answer ends.
    pub(super) ending: Ending,
}

/// A tool call that the prompt asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// With arguments that fit the tool's schema.
    Fitting,
    /// With these arguments.
    With(String),
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ending {
    /// As it should.
    #[default]
    Done,
    /// `stub:nodone`: without its last event.
    NoDone,
    /// `stub:error-mid`: the runner dies after two tokens.
    ErrorMid,
    /// `stub:error400`: the runner refuses the request.
    Error400,
    /// `stub:error500`: the runner has an error.
    Error500,
    /// `stub:crash0`: the runner dies before the first token.
    Crash0,
}

/// Splits a prompt into its directives and the rest.
pub(super) fn directives(prompt: &str) -> (Directives, &str) {
    let mut found = Directives::default();
    let mut rest = prompt;
    while let Some(after) = rest.strip_prefix("stub:") {
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        let (word, after) = after.split_at(end);
        if !found.apply(word) {
            break;
        }
        rest = after.trim_start();
    }
    (found, rest)
}

impl Directives {
    /// Applies one directive; false when it is none.
    fn apply(&mut self, word: &str) -> bool {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word, None),
        };
        let duration = || value.and_then(|value| parse_duration(value).ok());
        match (key, value) {
            ("tokens", Some(count)) => self.tokens = count.parse().ok(),
            ("pace", Some(_)) => self.pace = duration(),
            ("first", Some(_)) => self.first = duration().unwrap_or_default(),
            ("toolcall", None) => self.tool_call = Some(Call::Fitting),
            ("toolcall", Some(arguments)) => {
                self.tool_call = Some(Call::With(arguments.to_owned()));
            }
            ("nothoughts", None) => self.no_thoughts = true,
            ("nologprobs", None) => self.no_logprobs = true,
            ("nodone", None) => self.ending = Ending::NoDone,
            ("error-mid", None) => self.ending = Ending::ErrorMid,
            ("error400", None) => self.ending = Ending::Error400,
            ("error500", None) => self.ending = Ending::Error500,
            ("crash0", None) => self.ending = Ending::Crash0,
            (_, _) => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_stand_before_the_prompt() {
        let (found, rest) = directives("stub:tokens=200 stub:pace=5ms stub:nodone hello stub:x");

        assert_eq!(found.tokens, Some(200));
        assert_eq!(found.pace, Some(Duration::from_millis(5)));
        assert_eq!(found.ending, Ending::NoDone);
        assert_eq!(rest, "hello stub:x");
    }

    #[test]
    fn an_unknown_word_is_part_of_the_prompt() {
        let (found, rest) = directives("stub:unknown hello");

        assert_eq!(found, Directives::default());
        assert_eq!(rest, "stub:unknown hello");
    }
}
