//! `foreman submit`: one prompt, one request, many.

use foreman_tests::Pair;
use serde_json::Value;

use super::{on_terminal, pair, run, run_with};
use crate::{A, B};

#[tokio::test]
async fn a_prompt_is_submitted_and_its_answer_is_printed() {
    let Pair {
        stub: _stub,
        foreman,
    } = pair().await;

    let waited = run(&foreman, &["submit", "-m", A, "--wait", "hello there"])
        .await
        .good();
    let followed = run(&foreman, &["submit", "-m", A, "--follow", "hello there"])
        .await
        .good();
    let piped = run_with(
        &foreman,
        &["submit", "-m", A, "--wait", "-"],
        "hello there\n",
    )
    .await;
    let raw = run(
        &foreman,
        &["submit", "-m", A, "--wait", "--raw", "hello there"],
    )
    .await
    .good();

    assert!(waited.out.contains("hello there"), "{}", waited.out);
    assert_eq!(followed.out, waited.out);
    assert_eq!(piped.good().out, waited.out);
    assert_eq!(raw.json()["message"]["content"], waited.line());
    assert!(waited.err.starts_with("job "), "data and remarks are apart");
}

#[tokio::test]
async fn many_are_submitted_in_order_and_waited_for_together() {
    let Pair {
        stub: _stub,
        foreman,
    } = pair().await;
    let lines = "\"one\"\n{\"model\":\"nope\",\"messages\":[]}\n\
        {\"endpoint\":\"/api/generate\",\"request\":{\"model\":\"gemma3:270m\",\"prompt\":\"three\"}}\n";

    let args = ["submit", "-m", A, "--batch", "-", "--wait", "--json"];
    let ran = run_with(&foreman, &args, lines)
        .await
        .bad(1, "1 of 3 not done");

    let results: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(results.len(), 3);
    assert_eq!(
        (&results[0]["state"], &results[0]["model"]),
        (&"done".into(), &A.into())
    );
    assert!(
        results[1]["error"].as_str().unwrap().contains("nope"),
        "{}",
        results[1]
    );
    assert_eq!(
        (&results[2]["state"], &results[2]["model"]),
        (&"done".into(), &B.into())
    );
}

#[tokio::test]
async fn the_progress_of_many_is_seen_on_a_terminal() {
    let Pair {
        stub: _stub,
        foreman,
    } = pair().await;
    let file = foreman.directory().join("batch.ndjson");
    let lines: Vec<String> = (0..250).map(|n| format!("\"prompt {n}\"")).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let file = file.to_str().unwrap();

    let ran = on_terminal(&foreman, &["submit", "-m", A, "--batch", file, "--wait"])
        .await
        .good();

    assert_eq!(
        ran.out.lines().count(),
        251,
        "a row for each, under a heading"
    );
    assert!(ran.err.contains("200 of 250 submitted"), "{}", ran.err);
    assert!(ran.err.contains("250 of 250 over"), "{}", ran.err);
}

#[tokio::test]
async fn a_job_that_fails_fails_its_command() {
    let Pair {
        stub: _stub,
        foreman,
    } = pair().await;

    let unknown = run(&foreman, &["submit", "-m", "nope", "hi"]).await;
    let directory = foreman.directory().join("request.json");
    std::fs::write(&directory, r#"{"model":"llama3.2:1b","messages":"hi"}"#).unwrap();
    let file = directory.to_str().unwrap();
    let malformed = run(&foreman, &["submit", "--file", file]).await;
    let expired = [
        "submit",
        "-m",
        A,
        "hi",
        "--wait",
        "--not-before",
        "2000s",
        "--expires-in",
        "1ms",
    ];
    let expired = run(&foreman, &expired).await;

    unknown.bad(5, "error: model 'nope' not found");
    malformed.bad(1, "error: ");
    expired.bad(1, "failed: ");
}
