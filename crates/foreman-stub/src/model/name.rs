//! Model names: their parts, their rules, their canonical form.

use std::borrow::Cow;

use thiserror::Error;

const HOST: &str = "registry.ollama.ai";
const NAMESPACE: &str = "library";
const TAG: &str = "latest";

/// A model name with all its parts filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    host: String,
    namespace: String,
    model: String,
    tag: String,
}

impl Name {
    /// Parses a name; `None` when Ollama would call it invalid.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (path, tag) = match text.rfind(':') {
            Some(at) if !text.get(at..)?.contains('/') => (text.get(..at)?, text.get(at + 1..)?),
            Some(_) | None => (text, TAG),
        };
        let mut parts = path.rsplitn(3, '/');
        let model = parts.next()?;
        let namespace = parts.next().unwrap_or(NAMESPACE);
        let host = parts.next().unwrap_or(HOST);
        let host = host.split_once("://").map_or(host, |(_, host)| host);
        let fits = part(host, 350, ".-_:")
            && part(namespace, 80, "-_")
            && part(model, 80, "-_.")
            && part(tag, 80, "-_.");
        fits.then(|| Self {
            host: host.to_owned(),
            namespace: namespace.to_owned(),
            model: model.to_owned(),
            tag: tag.to_owned(),
        })
    }

    /// The shortest spelling, always with its tag, as lists show it.
    pub(crate) fn short(&self) -> String {
        let Self {
            host,
            namespace,
            model,
            tag,
        } = self;
        if !host.eq_ignore_ascii_case(HOST) {
            return format!("{host}/{namespace}/{model}:{tag}");
        }
        if !namespace.eq_ignore_ascii_case(NAMESPACE) {
            return format!("{namespace}/{model}:{tag}");
        }
        format!("{model}:{tag}")
    }

    /// All parts, as some error texts show them.
    pub(crate) fn full(&self) -> String {
        let Self {
            host,
            namespace,
            model,
            tag,
        } = self;
        format!("{host}/{namespace}/{model}:{tag}")
    }

    /// The path of its manifest below the manifests folder.
    pub(crate) fn path(&self) -> String {
        let Self {
            host,
            namespace,
            model,
            tag,
        } = self;
        format!("{host}/{namespace}/{model}/{tag}")
    }

    /// What two spellings of one model have in common.
    pub(crate) fn key(&self) -> String {
        let mut key = self.full();
        key.make_ascii_lowercase();
        key
    }

    /// The part that `/v1/models` calls the owner.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }
}

fn part(text: &str, longest: usize, extra: &str) -> bool {
    let first = text
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let rest = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || extra.contains(c));
    first && rest && text.len() <= longest
}

/// Where a request says that its model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// It does not say.
    Unspecified,
    /// A `:local` suffix.
    Local,
    /// A `:cloud` suffix, or a tag that ends in `-cloud`.
    Cloud,
}

/// A model as a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Its name without the suffix that says where it runs.
    pub(crate) name: Name,
    /// Where it runs.
    pub(crate) source: Source,
}

/// Why a reference is none, in Ollama's words.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum NameError {
    /// Nothing there.
    #[error("model is required")]
    Missing,
    /// Both suffixes.
    #[error("use either :local or :cloud, not both: {0:?}")]
    Both(String),
    /// Breaks the rules for names.
    #[error("invalid model name")]
    Invalid,
}

impl Reference {
    /// Parses what stands in a request's `model` field.
    pub(crate) fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NameError::Missing);
        }
        let (base, source) = strip(text);
        if source != Source::Unspecified {
            // Also where both say the same.
            let (_, second) = strip(&base);
            if second != Source::Unspecified {
                return Err(NameError::Both(text.to_owned()));
            }
        }
        // Space around the whole is forgiven, within it is not.
        let is_bare = base.trim() == base;
        let name = is_bare.then(|| Name::parse(&base)).flatten();
        let name = name.ok_or(NameError::Invalid)?;
        Ok(Self { name, source })
    }
}

/// Takes off the end of a text what says where its model runs.
fn strip(text: &str) -> (Cow<'_, str>, Source) {
    let Some((base, suffix)) = text.rsplit_once(':') else {
        return (text.into(), Source::Unspecified);
    };
    let suffix = suffix.trim();
    if suffix.eq_ignore_ascii_case("local") {
        return (base.into(), Source::Local);
    }
    if suffix.eq_ignore_ascii_case("cloud") {
        return (base.into(), Source::Cloud);
    }
    match strip_suffix(suffix, "-cloud") {
        Some(tag) if !suffix.contains('/') => (format!("{base}:{tag}").into(), Source::Cloud),
        Some(_) | None => (text.into(), Source::Unspecified),
    }
}

fn strip_suffix<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    let (base, end) = (text.get(..at)?, text.get(at..)?);
    end.eq_ignore_ascii_case(suffix).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_model_runs_is_said_once_and_without_space() {
        let parse = |text| Reference::parse(text).map(|it| it.source);

        assert_eq!(parse("a:7b-Cloud"), Ok(Source::Cloud));
        assert_eq!(parse(" a: local "), Ok(Source::Local));
        assert!(matches!(parse("a:cloud:cloud"), Err(NameError::Both(_))));
        assert!(matches!(parse("a:local:cloud"), Err(NameError::Both(_))));
        assert_eq!(parse("a:x\n:cloud"), Err(NameError::Invalid));
        assert_eq!(parse("http://b://c/d/e"), Err(NameError::Invalid));
    }

    #[test]
    fn spellings_of_one_model_have_one_key() {
        let key = |text| Name::parse(text).unwrap().key();

        for same in [
            "x",
            "X:latest",
            " x ",
            "library/x",
            "registry.ollama.ai/library/X:LATEST",
        ] {
            assert_eq!(key(same), "registry.ollama.ai/library/x:latest");
        }
        assert_eq!(Name::parse("u/x:7b").unwrap().short(), "u/x:7b");
        assert_eq!(Name::parse("h:80/u/x").unwrap().short(), "h:80/u/x:latest");
    }

    #[test]
    fn names_that_break_the_rules_are_refused() {
        for bad in ["a b c", "", "-x", "x:", "a.b/x", "x:y:z", "é"] {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn suffixes_say_where_a_model_runs() {
        let source = |text| Reference::parse(text).map(|r| r.source);

        assert_eq!(source("x"), Ok(Source::Unspecified));
        assert_eq!(source("x:local"), Ok(Source::Local));
        assert_eq!(source("x:cloud"), Ok(Source::Cloud));
        assert_eq!(source("x:7b-cloud"), Ok(Source::Cloud));
        assert_eq!(source("x-cloud"), Ok(Source::Unspecified));
        assert_eq!(
            source("x:local:cloud"),
            Err(NameError::Both("x:local:cloud".to_owned()))
        );
        assert_eq!(source(" "), Err(NameError::Missing));
        assert_eq!(source("a b"), Err(NameError::Invalid));
    }
}
