//! What is submitted, from arguments, files and standard input.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use foreman_job::{Clock, Endpoint, SystemClock};
use serde_json::{Map, Value, json};

use super::SubmitArgs;
use crate::commands::CommandError;
use crate::settings::{format_duration, parse_duration};

/// The name of standard input.
const STDIN: &str = "-";

/// Anthropic's API wants a limit; this is more than most models write.
const MAX_TOKENS: u32 = 4096;

/// A time that was given, as foreman takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment(String);

/// Reads a time, or a duration from now.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(time) = jiff::Timestamp::from_str(text) {
        return Ok(Moment(time.to_string()));
    }
    let wait = parse_duration(text).map_err(|_| {
        "expected a time such as 2026-01-31T22:00:00Z, or a duration such as 8h".to_owned()
    })?;
    Ok(Moment(SystemClock.now().saturating_add(wait).to_string()))
}

/// Reads a note such as `ticket=17`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    if key.is_empty() {
        return Err("expected KEY=VALUE".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// Makes the one submission of the arguments.
pub(super) fn single(args: &SubmitArgs) -> Result<Value, CommandError> {
    let request = match (&args.file, args.prompt.as_deref()) {
        (Some(path), _) => {
            let request = object(&read(path)?, &path.display().to_string())?;
            with_model(request, args)
        }
        (None, Some(STDIN)) => asking(args, read(Path::new(STDIN))?.trim_end())?,
        (None, prompt) => asking(args, prompt.unwrap_or_default())?,
    };
    Ok(submission(args, request))
}

/// Makes the submissions of a file, one a line.
pub(super) fn batch(args: &SubmitArgs, path: &Path) -> Result<Vec<Value>, CommandError> {
    let text = read(path)?;
    let lines = (1..).zip(text.lines());
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let submissions: Vec<Value> = lines
        .map(|(number, line)| {
            let place = format!("{} line {number}", path.display());
            one_of_many(args, line, &place)
        })
        .collect::<Result<_, _>>()?;
    if submissions.is_empty() {
        let message = format!("{} holds nothing to submit", path.display());
        return Err(CommandError::Input(message));
    }
    Ok(submissions)
}

fn one_of_many(args: &SubmitArgs, line: &str, place: &str) -> Result<Value, CommandError> {
    let value: Value = serde_json::from_str(line)
        .map_err(|error| CommandError::Input(format!("{place} is no JSON: {error}")))?;
    match value {
        Value::String(prompt) => Ok(submission(args, asking(args, &prompt)?)),
        // What a line says of itself counts more than what the flags say of all.
        Value::Object(whole) if whole.contains_key("request") => {
            let mut all = options(args);
            all.extend(whole);
            Ok(Value::Object(all))
        }
        Value::Object(request) => Ok(submission(args, with_model(request, args))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            let message = format!("{place} is neither a text nor an object");
            Err(CommandError::Input(message))
        }
    }
}

fn submission(args: &SubmitArgs, request: Map<String, Value>) -> Value {
    let mut submission = options(args);
    submission.insert("request".to_owned(), Value::Object(request));
    Value::Object(submission)
}

/// Returns what the flags say of a job.
fn options(args: &SubmitArgs) -> Map<String, Value> {
    let metadata: Map<String, Value> = args
        .metadata
        .iter()
        .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
        .collect();
    let metadata = (!metadata.is_empty()).then_some(Value::Object(metadata));
    let text = |text: String| Value::String(text);
    let all = [
        ("endpoint", Some(Value::from(args.endpoint.path()))),
        ("priority", args.priority.map(|it| text(it.to_string()))),
        (
            "expires_in",
            args.expires_in.map(|it| text(format_duration(it))),
        ),
        (
            "not_before",
            args.not_before.clone().map(|Moment(it)| text(it)),
        ),
        ("metadata", metadata),
    ];
    all.into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

/// Makes the request that asks a prompt.
fn asking(args: &SubmitArgs, prompt: &str) -> Result<Map<String, Value>, CommandError> {
    let message = |text: &str| CommandError::Input(text.to_owned());
    let Some(model) = args.model.as_deref() else {
        return Err(message("a prompt needs --model"));
    };
    // Whoever follows wants the words as they come.
    let stream = args.follow;
    let messages = json!([{"role": "user", "content": prompt}]);
    let mut request = match args.endpoint {
        Endpoint::Chat | Endpoint::V1ChatCompletions => json!({"messages": messages}),
        Endpoint::V1Messages => json!({"messages": messages, "max_tokens": MAX_TOKENS}),
        Endpoint::Generate | Endpoint::V1Completions => json!({"prompt": prompt}),
        Endpoint::V1Responses => json!({"input": prompt}),
        Endpoint::V1AudioTranscriptions => {
            return Err(message("a transcription has no prompt: give --file"));
        }
    };
    let mut all = Map::new();
    all.insert("model".to_owned(), model.into());
    all.insert("stream".to_owned(), stream.into());
    if let Some(request) = request.as_object_mut() {
        all.append(request);
    }
    Ok(all)
}

fn with_model(mut request: Map<String, Value>, args: &SubmitArgs) -> Map<String, Value> {
    if let Some(model) = &args.model {
        request
            .entry("model")
            .or_insert_with(|| model.as_str().into());
    }
    request
}

fn object(text: &str, place: &str) -> Result<Map<String, Value>, CommandError> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(CommandError::Input(format!("{place} holds no JSON object"))),
        Err(error) => Err(CommandError::Input(format!("{place} is no JSON: {error}"))),
    }
}

fn read(path: &Path) -> Result<String, CommandError> {
    let text = if path == Path::new(STDIN) {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    text.map_err(|source| CommandError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;
    use rstest::rstest;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SubmitArgs,
    }

    fn args(line: &[&str]) -> SubmitArgs {
        let line = ["submit"].iter().chain(line);
        Line::try_parse_from(line)
            .unwrap_or_else(|error| panic!("{error}"))
            .args
    }

    #[rstest]
    #[case("/api/chat", json!({"messages": [{"role": "user", "content": "hi"}]}))]
    #[case("/api/generate", json!({"prompt": "hi"}))]
    #[case("/v1/chat/completions", json!({"messages": [{"role": "user", "content": "hi"}]}))]
    #[case("/v1/completions", json!({"prompt": "hi"}))]
    #[case("/v1/responses", json!({"input": "hi"}))]
    #[case("/v1/messages", json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4096}))]
    fn a_prompt_becomes_a_request_of_its_endpoint(#[case] path: &str, #[case] rest: Value) {
        let submission = single(&args(&["hi", "-m", "a", "--endpoint", path])).unwrap();

        let mut request = json!({"model": "a", "stream": false});
        let rest = rest.as_object().unwrap().clone();
        request.as_object_mut().unwrap().extend(rest);
        assert_eq!(submission, json!({"endpoint": path, "request": request}));
    }

    #[test]
    fn what_the_flags_say_of_a_job_goes_beside_its_request() {
        let submission = single(&args(&[
            "hi",
            "-m",
            "a",
            "--follow",
            "--priority",
            "low",
            "--expires-in",
            "600s",
            "--not-before",
            "2026-01-31T22:00:00Z",
            "--metadata",
            "ticket=17",
            "--metadata",
            "note=a=b",
        ]))
        .unwrap();

        assert_eq!(submission["priority"], "low");
        assert_eq!(submission["expires_in"], "10m");
        assert_eq!(submission["not_before"], "2026-01-31T22:00:00Z");
        assert_eq!(
            submission["metadata"],
            json!({"ticket": "17", "note": "a=b"})
        );
        assert_eq!(submission["request"]["stream"], true);
    }

    #[test]
    fn a_batch_takes_texts_requests_and_submissions() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("batch.ndjson");
        let lines = "\"hi\"\n\n{\"prompt\":\"x\",\"model\":\"own\"}\n\
            {\"endpoint\":\"/api/chat\",\"request\":{\"model\":\"b\"},\"priority\":\"high\"}\n";
        fs::write(&path, lines).unwrap();
        let args = args(&[
            "--batch",
            path.to_str().unwrap(),
            "-m",
            "a",
            "--priority",
            "low",
            "--endpoint",
            "/api/generate",
        ]);

        let all = batch(&args, &path).unwrap();

        assert_eq!(all.len(), 3);
        assert_eq!(all[0]["request"]["prompt"], "hi");
        assert_eq!(all[1]["request"]["model"], "own");
        assert_eq!(all[1]["priority"], "low");
        assert_eq!(
            (&all[2]["endpoint"], &all[2]["priority"]),
            (&"/api/chat".into(), &"high".into())
        );
    }

    #[test]
    fn a_bad_line_of_a_batch_is_named_before_anything_is_sent() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("batch.ndjson");
        fs::write(&path, "\"hi\"\n17\n").unwrap();
        let args = args(&["--batch", path.to_str().unwrap(), "-m", "a"]);

        let message = batch(&args, &path).unwrap_err().to_string();

        assert!(
            message.ends_with("line 2 is neither a text nor an object"),
            "{message}"
        );
    }

    #[rstest]
    #[case(&[], "a prompt needs --model")]
    #[case(&["-m", "a", "--endpoint", "/v1/audio/transcriptions"], "give --file")]
    fn what_makes_no_request_is_refused(#[case] flags: &[&str], #[case] told: &str) {
        let line: Vec<&str> = ["hi"].iter().chain(flags).copied().collect();

        let error = single(&args(&line)).unwrap_err();

        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(error.exit().code(), 2);
    }

    #[test]
    fn a_time_is_a_time_or_a_duration_from_now() {
        assert_eq!(
            moment("2026-01-31T22:00:00+01:00").unwrap().0,
            "2026-01-31T21:00:00Z"
        );
        assert!(moment("8h").unwrap().0.ends_with('Z'));
        assert!(moment("tonight").is_err());
    }
}
