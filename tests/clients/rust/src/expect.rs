//! What the answers are held against.

use crate::{Outcome, Problem};

pub const CHAT_MODEL: &str = "llama3.2:1b";
pub const EMBED_MODEL: &str = "all-minilm:latest";
pub const ALL_MODELS: [&str; 4] = ["llama3.2:1b", "qwen3:0.6b", "gemma3:270m", EMBED_MODEL];
pub const MISSING_MODEL: &str = "no-such-model:1b";

pub const WORDS: &str = "the quick brown fox jumps";
/// Longer than any check may last: only a cancelled stream lets the next caller in.
pub const ENDLESS: &str = "stub:tokens=100000 stub:pace=20ms";

/// Fails unless the condition holds.
pub fn expect(condition: bool, message: impl Into<String>) -> Outcome {
    if condition {
        Ok(())
    } else {
        Err(Problem::Failed(message.into()))
    }
}

/// Fails unless the answer holds the words of the prompt.
pub fn expect_echo(answer: &str, words: &str) -> Outcome {
    let message = format!("{words:?} is not in {answer:?}");
    expect(answer.contains(words), message)
}

/// Fails unless several pieces make up the whole answer.
pub fn expect_pieces(pieces: &[String], whole: &str) -> Outcome {
    expect(pieces.len() > 2, format!("only {} pieces", pieces.len()))?;
    let joined = pieces.concat();
    let message = format!("streamed {joined:?}, unstreamed {whole:?}");
    expect(joined == whole, message)
}

/// Fails unless the call failed in the words of an unknown model; this client tells no status.
pub fn expect_not_found<T>(result: Result<T, ollama_rs::error::OllamaError>) -> Outcome {
    match result {
        Ok(_) => Err(Problem::Failed("no error".to_owned())),
        Err(error) => expect_echo(&error.to_string(), "not found"),
    }
}
