//! Model names, compared as Ollama compares them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

const DEFAULT_HOST: &str = "registry.ollama.ai";
const DEFAULT_NAMESPACE: &str = "library";
const DEFAULT_TAG: &str = "latest";
const MAX_HOST: usize = 350;
const MAX_PART: usize = 80;

/// A model name in its canonical form.
///
/// `llama3`, `LLAMA3:latest` and ` registry.ollama.ai/library/llama3 ` are equal.
#[derive(Debug, Clone)]
pub struct ModelName {
    canonical: String,
    source: Source,
}

/// Where a name says that its model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It does not say.
    Unspecified,
    /// On the target itself (`:local`).
    Local,
    /// In the cloud, through the target (`:cloud`, `-cloud`).
    Cloud,
}

/// Why a text is no model name; the messages are Ollama's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, or nothing but space.
    #[error("model is required")]
    Required,
    /// Says `:local` and `:cloud` at once.
    #[error("use either :local or :cloud, not both: {}", crate::request::quoted(.0))]
    ConflictingSource(String),
    /// Breaks the rules for names.
    #[error("invalid model name")]
    Invalid,
}

impl ModelName {
    /// Parses a name as a request gives it.
    ///
    /// # Errors
    ///
    /// What Ollama would refuse.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (mut canonical, source) = shortest(text)?;
        canonical.make_ascii_lowercase();
        Ok(Self { canonical, source })
    }

    /// Returns a name as Ollama shows it: the shortest equal one, always with its tag, its letters
    /// as they are.
    ///
    /// # Errors
    ///
    /// What Ollama would refuse.
    pub fn shown(text: &str) -> Result<String, NameError> {
        Ok(shortest(text)?.0)
    }

    /// Returns the shortest equal name, lower-cased and always with its tag.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Tells whether the model runs in the cloud by its name; it takes no room on the target then.
    pub fn is_cloud(&self) -> bool {
        self.source == Source::Cloud
    }

    /// Returns where the name says that the model runs.
    pub fn source(&self) -> Source {
        self.source
    }
}

impl PartialEq for ModelName {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for ModelName {}

impl Hash for ModelName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.canonical.hash(state);
    }
}

impl PartialOrd for ModelName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ModelName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.canonical.cmp(&other.canonical)
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical)
    }
}

impl std::str::FromStr for ModelName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suffix {
    Local,
    Cloud,
}

/// Writes a name without what goes without saying, but with its tag.
fn shortest(text: &str) -> Result<(String, Source), NameError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NameError::Required);
    }
    let (base, suffix) = split_source(text);
    if suffix.is_some() && split_source(&base).1.is_some() {
        return Err(NameError::ConflictingSource(text.to_owned()));
    }
    let source = match suffix {
        None => Source::Unspecified,
        Some(Suffix::Local) => Source::Local,
        Some(Suffix::Cloud) => Source::Cloud,
    };
    Ok((Parts::parse(&base)?.shortest(source), source))
}

/// Takes `:local`, `:cloud` or the `-cloud` at the end of a tag off a name.
fn split_source(text: &str) -> (Cow<'_, str>, Option<Suffix>) {
    let Some((base, last)) = text.rsplit_once(':') else {
        return (text.into(), None);
    };
    let last = last.trim();
    if last.eq_ignore_ascii_case("cloud") {
        return (base.into(), Some(Suffix::Cloud));
    }
    if last.eq_ignore_ascii_case("local") {
        return (base.into(), Some(Suffix::Local));
    }
    match strip_suffix_folded(last, "-cloud") {
        Some(tag) if !last.contains('/') => (format!("{base}:{tag}").into(), Some(Suffix::Cloud)),
        Some(_) | None => (text.into(), None),
    }
}

fn strip_suffix_folded<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    tail.eq_ignore_ascii_case(suffix).then_some(head)
}

struct Parts<'t> {
    host: Option<&'t str>,
    namespace: Option<&'t str>,
    model: &'t str,
    tag: Option<&'t str>,
}

impl<'t> Parts<'t> {
    fn parse(text: &'t str) -> Result<Self, NameError> {
        let after_slash = text.rsplit('/').next().unwrap_or(text);
        let (rest, tag) = match text.rsplit_once(':') {
            Some((rest, tag)) if after_slash.contains(':') => (rest, Some(tag)),
            Some(_) | None => (text, None),
        };
        let (rest, model) = cut(rest);
        let (rest, namespace) = rest.map_or((None, None), |rest| {
            let (rest, namespace) = cut(rest);
            (rest, Some(namespace))
        });
        let host = rest.map(|rest| rest.split_once("://").map_or(rest, |(_, host)| host));
        let valid = is_part(model, MAX_PART, b".")
            && tag.is_none_or(|tag| is_part(tag, MAX_PART, b"."))
            && namespace.is_none_or(|namespace| is_part(namespace, MAX_PART, b""))
            && host.is_none_or(|host| is_part(host, MAX_HOST, b".:"));
        if !valid {
            return Err(NameError::Invalid);
        }
        Ok(Self {
            host,
            namespace,
            model,
            tag,
        })
    }

    fn shortest(&self, source: Source) -> String {
        let host = self
            .host
            .filter(|host| !host.eq_ignore_ascii_case(DEFAULT_HOST));
        let namespace = self
            .namespace
            .filter(|namespace| !namespace.eq_ignore_ascii_case(DEFAULT_NAMESPACE));
        let tag = match (self.tag, source) {
            (None, Source::Cloud) => "cloud",
            (tag, _) => tag.unwrap_or(DEFAULT_TAG),
        };
        let end = match (self.tag, source) {
            (Some(_), Source::Cloud) => "-cloud",
            _ => "",
        };
        let mut name = String::with_capacity(self.model.len() + 1 + tag.len() + end.len());
        if let Some(host) = host {
            let namespace = self.namespace.unwrap_or(DEFAULT_NAMESPACE);
            name.extend([host, "/", namespace, "/"]);
        } else if let Some(namespace) = namespace {
            name.extend([namespace, "/"]);
        }
        name.extend([self.model, ":", tag, end]);
        name
    }
}

/// Cuts the last part off a path.
fn cut(text: &str) -> (Option<&str>, &str) {
    match text.rsplit_once('/') {
        Some((rest, last)) => (Some(rest), last),
        None => (None, text),
    }
}

fn is_part(text: &str, max: usize, also: &[u8]) -> bool {
    let mut bytes = text.bytes();
    let starts_well = bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_');
    starts_well
        && text.len() <= max
        && bytes.all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || also.contains(&byte)
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("llama3", "llama3:latest")]
    #[case("llama3:latest", "llama3:latest")]
    #[case("LLAMA3", "llama3:latest")]
    #[case(" registry.ollama.ai/library/llama3 ", "llama3:latest")]
    #[case("https://registry.ollama.ai/library/llama3", "llama3:latest")]
    #[case("library/llama3", "llama3:latest")]
    #[case("Me/llama3:8B", "me/llama3:8b")]
    #[case("registry.ollama.ai/me/llama3", "me/llama3:latest")]
    #[case("hf.co/me/llama3-GGUF:Q4_K_M", "hf.co/me/llama3-gguf:q4_k_m")]
    #[case(
        "localhost:5000/library/llama3",
        "localhost:5000/library/llama3:latest"
    )]
    #[case("llama3:local", "llama3:latest")]
    #[case("llama3:8b:local", "llama3:8b")]
    #[case("gpt-oss:cloud", "gpt-oss:cloud")]
    #[case("gpt-oss:120b-Cloud", "gpt-oss:120b-cloud")]
    #[case("gpt-oss:120b:cloud", "gpt-oss:120b-cloud")]
    #[case("_x", "_x:latest")]
    fn a_name_has_one_canonical_form(#[case] text: &str, #[case] canonical: &str) {
        assert_eq!(ModelName::parse(text).unwrap().canonical(), canonical);
    }

    #[rstest]
    #[case("", "model is required")]
    #[case("  ", "model is required")]
    #[case("a b c", "invalid model name")]
    #[case("a:", "invalid model name")]
    #[case("/a", "invalid model name")]
    #[case("-a", "invalid model name")]
    #[case("a.b/c", "invalid model name")]
    #[case("w/x/y/z", "invalid model name")]
    #[case("a:b:c", "invalid model name")]
    #[case("ü", "invalid model name")]
    #[case("a:ü-cloud", "invalid model name")]
    #[case(
        "fakeA:local:cloud",
        "use either :local or :cloud, not both: \"fakeA:local:cloud\""
    )]
    fn a_bad_name_is_refused_in_ollamas_words(#[case] text: &str, #[case] message: &str) {
        assert_eq!(ModelName::parse(text).unwrap_err().to_string(), message);
    }

    #[test]
    fn a_name_is_shown_with_its_own_letters() {
        assert_eq!(ModelName::shown("Library/LLama3").unwrap(), "LLama3:latest");
        assert_eq!(ModelName::shown("Me/LLama3:8B").unwrap(), "Me/LLama3:8B");
    }

    #[test]
    fn only_names_that_say_so_run_in_the_cloud() {
        let source = |text| ModelName::parse(text).unwrap().source();

        assert_eq!(source("a:cloud"), Source::Cloud);
        assert_eq!(source("a:7b-cloud"), Source::Cloud);
        assert_eq!(source("a:local"), Source::Local);
        assert_eq!(source("a-cloud"), Source::Unspecified);
        assert_eq!(source("cloud"), Source::Unspecified);
    }

    #[test]
    fn parts_that_are_too_long_are_refused() {
        assert!(ModelName::parse(&"a".repeat(80)).is_ok());
        assert!(ModelName::parse(&"a".repeat(81)).is_err());
        assert!(ModelName::parse(&format!("{}/a/b", "h".repeat(350))).is_ok());
    }

    proptest! {
        #[test]
        fn spelling_does_not_change_the_name(
            model in "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,20}",
            tag in proptest::option::of("[a-zA-Z0-9_][a-zA-Z0-9_.]{0,10}"),
        ) {
            prop_assume!(!matches!(
                tag.as_deref().map(str::to_ascii_lowercase).as_deref(),
                Some("cloud" | "local" | "latest")
            ));
            let plain = tag.as_ref().map_or_else(|| model.clone(), |tag| format!("{model}:{tag}"));
            let name = ModelName::parse(&plain).unwrap();

            let full = format!(" Registry.Ollama.AI/Library/{} ", plain.to_ascii_uppercase());
            prop_assert_eq!(&ModelName::parse(&full).unwrap(), &name);
            prop_assert_eq!(&ModelName::parse(name.canonical()).unwrap(), &name);
            prop_assert!(name.canonical().contains(':'));
        }

        #[test]
        fn no_text_makes_the_parser_fail_otherwise(text in ".{0,40}") {
            if let Ok(name) = ModelName::parse(&text) {
                prop_assert_eq!(ModelName::parse(name.canonical()).unwrap(), name);
            }
        }
    }
}
