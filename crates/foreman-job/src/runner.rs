//! What makes two jobs share a loaded model.

use std::fmt;
use std::sync::Arc;

/// Names a runner: a model's weights together with its load options.
///
/// Ollama keeps one runner for all names of one digest and starts another when an option that
/// counts at load time (`num_ctx`, `num_gpu`, …) differs; an absent option is not the same as an
/// explicit one. Jobs with equal keys therefore run without a swap between them, jobs with
/// different keys do not. Two keys of one [`weights`](Self::weights) part reload one model.
///
/// A clone shares the text: keys go wherever jobs do.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunnerKey(Arc<str>);

/// Stands between the two parts; neither a digest, a model name nor an option contains it.
const SEPARATOR: char = '|';

impl RunnerKey {
    /// Makes the key of a model's weights (digest, or canonical name where the digest is unknown)
    /// and its load options in their canonical form (empty when the request gives none).
    pub fn new(weights: &str, load_options: &str) -> Self {
        let mut key = String::with_capacity(weights.len() + 1 + load_options.len());
        key.push_str(weights);
        key.push(SEPARATOR);
        key.push_str(load_options);
        Self(key.into())
    }

    /// Takes a key as it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text.into())
    }

    /// Returns the whole key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the part that names the weights.
    pub fn weights(&self) -> &str {
        self.0
            .split_once(SEPARATOR)
            .map_or(&*self.0, |parts| parts.0)
    }

    /// Returns the part that names the load options; empty when the defaults apply.
    pub fn load_options(&self) -> &str {
        self.0.split_once(SEPARATOR).map_or("", |parts| parts.1)
    }
}

impl fmt::Display for RunnerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RunnerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunnerKey({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_back_its_parts() {
        let key = RunnerKey::new("sha256:ab", "num_ctx=8192");

        assert_eq!(key.weights(), "sha256:ab");
        assert_eq!(key.load_options(), "num_ctx=8192");
        assert_eq!(RunnerKey::from_stored(key.as_str().to_owned()), key);
    }

    #[test]
    fn absent_options_differ_from_explicit_ones() {
        assert_ne!(RunnerKey::new("m", ""), RunnerKey::new("m", "num_ctx=4096"));
    }
}
