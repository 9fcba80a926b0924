//! `foreman jobs` and `foreman queue`.

use foreman_stub::Hold;
use foreman_tests::{Pair, eventually, within};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{on_terminal, pair, run, submit};
use crate::{A, B};

#[tokio::test]
async fn the_json_of_a_command_is_that_of_the_api() {
    let Pair {
        stub: _stub,
        foreman,
    } = pair().await;

    let submitted = run(
        &foreman,
        &["submit", "-m", A, "hi", "--json", "--metadata", "k=v"],
    )
    .await;
    let submitted = submitted.good().json();
    let id = submitted["id"].as_str().unwrap();
    let done = run(&foreman, &["submit", "-m", A, "hi", "--json", "--wait"])
        .await
        .good()
        .json();
    let shown = run(&foreman, &["jobs", "show", id, "--json"])
        .await
        .good()
        .json();
    let listed = run(&foreman, &["jobs", "ls", "--json", "--limit", "1"])
        .await
        .good()
        .json();
    let api = foreman.get(&format!("/foreman/v1/jobs/{id}")).await.json();

    assert_eq!(done["state"], "done");
    assert_eq!(shown["id"], api["id"]);
    assert_eq!(shown["metadata"]["k"], "v");
    assert_eq!(listed["jobs"][0]["id"], done["id"]);
    assert!(listed["next"].is_string());
    let followed = run(&foreman, &["jobs", "follow", id, "--json"])
        .await
        .good();
    let last: Value = serde_json::from_str(followed.out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["type"], &last["state"]),
        (&"end".into(), &"done".into())
    );
}

#[tokio::test]
async fn a_list_is_a_table_on_a_terminal_and_fields_elsewhere() {
    let Pair {
        stub: _stub,
        foreman,
    } = pair().await;
    run(&foreman, &["submit", "-m", A, "--wait", "one"])
        .await
        .good();
    run(
        &foreman,
        &["submit", "-m", B, "--wait", "two", "--priority", "low"],
    )
    .await
    .good();

    let table = on_terminal(&foreman, &["jobs", "ls"]).await.good();
    let fields = run(&foreman, &["jobs", "ls"]).await.good();
    let filtered = run(&foreman, &["jobs", "ls", "--model", B, "--state", "done"])
        .await
        .good();
    let more = on_terminal(&foreman, &["jobs", "ls", "--limit", "1"])
        .await
        .good();

    assert!(table.out.starts_with("ID "), "{}", table.out);
    assert_eq!(table.out.lines().count(), 3);
    let lines: Vec<Vec<&str>> = fields
        .out
        .lines()
        .map(|it| it.split('\t').collect())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0][1..4], ["done", B, "low"]);
    assert_eq!(lines[1][1..4], ["done", A, "normal"]);
    assert_eq!(filtered.out.lines().count(), 1);
    assert_eq!(more.out.lines().count(), 2);
    assert!(more.err.contains("--after "), "{}", more.err);
}

#[tokio::test]
async fn a_job_is_shown_with_its_request_and_its_output() {
    let Pair {
        stub: _stub,
        foreman,
    } = pair().await;
    let id = submit(&foreman, &["hello", "--wait", "--json"]).await;
    let id: Value = serde_json::from_str(&id).unwrap();
    let id = id["id"].as_str().unwrap();

    let shown = on_terminal(&foreman, &["jobs", "show", id]).await.good();
    let request = run(&foreman, &["jobs", "show", id, "--request"])
        .await
        .good();
    let output = run(&foreman, &["jobs", "show", id, "--output"])
        .await
        .good();
    let followed = run(&foreman, &["jobs", "follow", id]).await.good();

    for part in [id, "done", A, "/api/chat", "attempts"] {
        assert!(shown.out.contains(part), "{part} is not in\n{}", shown.out);
    }
    assert_eq!(request.json()["messages"][0]["content"], "hello");
    assert_eq!(output.json()["message"]["content"], followed.line());
}

#[tokio::test]
async fn jobs_are_cancelled_repeated_and_forgotten() {
    let Pair { stub, foreman } = pair().await;
    let gate = stub.hold(Hold::before_first_token());
    let running = submit(&foreman, &["one"]).await;
    gate.reached().await;
    let waiting = submit(&foreman, &["two"]).await;

    let refused = run(&foreman, &["jobs", "rm", &running]).await;
    let cancelled = run(&foreman, &["jobs", "cancel", &waiting, &running])
        .await
        .good();
    gate.release();
    let again = run(&foreman, &["jobs", "retry", &waiting]).await.good();
    let again = again.line();
    let followed = run(&foreman, &["jobs", "follow", again]).await.good();
    let shown = run(&foreman, &["jobs", "show", again, "--json"])
        .await
        .good();
    let forgotten = run(&foreman, &["jobs", "rm", again, "--json"]).await.good();
    let gone = run(&foreman, &["jobs", "show", again]).await;

    refused.bad(1, "");
    assert!(
        cancelled
            .out
            .starts_with(&format!("{waiting}  cancelled\n"))
    );
    assert!(followed.out.contains("two"), "{}", followed.out);
    assert_eq!(shown.json()["retry_of"], waiting.as_str());
    assert_eq!(forgotten.json()["deleted"], true);
    gone.bad(5, "error: ");
}

#[tokio::test]
async fn the_queue_is_shown_paused_and_resumed() {
    let Pair { stub, foreman } = pair().await;

    let paused = run(&foreman, &["queue", "pause"]).await.good();
    let id = submit(&foreman, &["hi"]).await;
    let shown = on_terminal(&foreman, &["queue"]).await.good();
    let json = run(&foreman, &["queue", "--json"]).await.good().json();
    assert_eq!(stub.record().on("/api/chat").count(), 0, "nothing starts");
    let resumed = run(&foreman, &["queue", "resume", "--json"]).await.good();
    run(&foreman, &["jobs", "follow", &id]).await.good();
    run(&foreman, &["queue", "pause", B]).await.good();
    let one = on_terminal(&foreman, &["queue"]).await.good();
    run(&foreman, &["queue", "resume", B]).await.good();

    assert!(paused.out.starts_with("paused the queue"), "{}", paused.out);
    assert!(json.is_object());
    for part in ["waiting", "everything", "reachable", A] {
        assert!(shown.out.contains(part), "{part} is not in\n{}", shown.out);
    }
    assert!(resumed.json().is_object());
    assert!(one.out.contains(B), "{}", one.out);
}

#[tokio::test]
async fn whoever_follows_is_told_when_foreman_was_killed_and_goes_on() {
    let Pair { stub, mut foreman } = pair().await;
    let address = foreman.url().trim_start_matches("http://").to_owned();
    let gate = stub.hold(Hold::before_first_token());
    let id = submit(&foreman, &["hello there"]).await;
    gate.reached().await;
    let surroundings = crate::foreman().set("URL", foreman.url());
    let mut command = surroundings.command();
    let mut child = command.args(["jobs", "follow", &id]).spawn().unwrap();
    let mut remarks = BufReader::new(child.stderr.take().unwrap()).lines();

    // It follows once foreman has seen its request.
    eventually("the follower to be there", || async {
        foreman
            .get("/metrics")
            .await
            .text()
            .contains("foreman_http_open_streams 1")
    })
    .await;
    foreman.kill().await;
    let remark = within("a remark", remarks.next_line())
        .await
        .unwrap()
        .unwrap();
    gate.release();
    let again = crate::foreman().after(&foreman).set("LISTEN", &address);
    let _again = again.target(&stub.url()).start().await;
    let output = within("the follower to end", child.wait_with_output())
        .await
        .unwrap();

    assert!(remark.ends_with("trying again"), "{remark}");
    assert_eq!(output.status.code(), Some(0));
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("hello there")
    );
}
