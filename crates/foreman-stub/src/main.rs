//! The program `foreman-stub`: a stub on an address, until it is interrupted.

use std::{
    fs::File,
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use foreman_stub::{DurationError, ModelSpec, RecordMode, Stub, StubOptions, parse_duration};

/// A scriptable Ollama for tests: its API without its models.
#[derive(Debug, Parser)]
#[command(name = "foreman-stub", version)]
struct Flags {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:11434", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A model, with options after commas: NAME[,kind=chat|embed][,tools][,thinking]
    /// [,load=DURATION][,size=BYTES][,ctx=TOKENS][,dims=N][,alias=NAME]; repeatable
    #[arg(long, value_name = "NAME[,OPTION...]")]
    model: Vec<String>,
    /// How long a model takes to load
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = parse_duration)]
    load_time: Duration,
    /// The time between the tokens of an answer
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = parse_duration)]
    token_pace: Duration,
    /// How many tokens an answer has, instead of as many as its echo
    #[arg(long, value_name = "N")]
    tokens: Option<usize>,
    /// What every answer says, instead of an echo
    #[arg(long, value_name = "TEXT")]
    answer: Option<String>,
    /// Models that may be loaded at once
    #[arg(long, default_value_t = 3, value_name = "N")]
    max_loaded: usize,
    /// Requests that may wait for a load
    #[arg(long, default_value_t = 512, value_name = "N")]
    max_queue: usize,
    /// Requests that one model works on at once
    #[arg(long, default_value_t = 1, value_name = "N")]
    parallel: usize,
    /// Writes a JSON line at the start and at the end of every request
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            // Nobody is left to tell when this fails.
            drop(writeln!(io::stderr(), "{text}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(flags: Flags) -> Result<(), Box<dyn std::error::Error>> {
    let mut models = Vec::new();
    for text in &flags.model {
        let model = model(text, &models)?;
        models.push(model);
    }
    let options = StubOptions {
        listen: Some(flags.listen),
        models,
        load_time: flags.load_time,
        token_pace: flags.token_pace,
        tokens: flags.tokens,
        max_loaded: Some(flags.max_loaded),
    };
    let mut builder = Stub::builder()
        .options(options)
        .max_queue(flags.max_queue)
        .parallel(flags.parallel)
        // A program may run for days: it keeps no record in memory.
        .recording(RecordMode::Counters);
    if let Some(text) = &flags.answer {
        builder = builder.answer(text);
    }
    if let Some(path) = &flags.record {
        builder = builder.record_to(File::options().create(true).append(true).open(path)?);
    }
    let stub = builder.start().await?;
    writeln!(io::stdout(), "listening on {}", stub.url())?;
    io::stdout().flush()?;
    terminated().await?;
    stub.shutdown().await;
    Ok(())
}

#[cfg(unix)]
async fn terminated() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn terminated() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// A model from its flag; `alias` refers to a model given before.
fn model(text: &str, before: &[ModelSpec]) -> Result<ModelSpec, String> {
    let mut words = text.split(',');
    let name = words.next().unwrap_or_default();
    let mut spec = ModelSpec::chat(name);
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let wrong = || format!("cannot read {word:?} of model {name:?}");
        spec = match (key, value) {
            ("kind", "chat") => spec,
            ("kind", "embed") => ModelSpec::embedding(name),
            ("tools", "") => spec.with_tools(),
            ("thinking", "") => spec.with_thinking(),
            ("load", time) => spec
                .load_time(parse_duration(time).map_err(|error: DurationError| error.to_string())?),
            ("size", bytes) => spec.size(bytes.parse().map_err(|_| wrong())?),
            ("ctx", tokens) => spec.trained_context(tokens.parse().map_err(|_| wrong())?),
            ("dims", count) => spec.dimensions(count.parse().map_err(|_| wrong())?),
            ("alias", other) => {
                let other = before
                    .iter()
                    .find(|spec| spec.name() == other)
                    .ok_or_else(wrong)?;
                ModelSpec::alias_of(other, name)
            }
            (_, _) => return Err(wrong()),
        };
    }
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_read_from_their_flags() {
        let first = model("a:1b,tools,load=200ms,size=7", &[]).unwrap();
        let alias = model("b,alias=a:1b", std::slice::from_ref(&first)).unwrap();

        assert_eq!(first.name(), "a:1b");
        assert_eq!(alias.digest(), first.digest());
        assert!(model("e,kind=embed,dims=8", &[]).is_ok());
        for bad in ["a,kind=x", "a,load=5", "a,alias=none", "a,what"] {
            assert!(model(bad, &[]).is_err(), "{bad}");
        }
    }
}
