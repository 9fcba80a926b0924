//! Exit codes, tokens, backups and completions.

use std::path::Path;

use foreman_stub::Hold;
use foreman_tests::{Pair, stub};

use super::{NOBODY, pair, run, submit};
use crate::{A, foreman};

#[tokio::test]
async fn exit_codes_say_what_was_wrong() {
    let Pair {
        stub: _stub,
        foreman,
    } = pair().await;

    for (code, args) in [
        (5, &["jobs", "show", NOBODY][..]),
        (5, &["jobs", "follow", NOBODY]),
        (5, &["jobs", "cancel", NOBODY]),
        (5, &["jobs", "retry", NOBODY]),
        (5, &["jobs", "rm", NOBODY]),
        (5, &["submit", "--file", "/nowhere/request.json"]),
        (2, &["jobs", "show", "../../etc/passwd"]),
        (2, &["jobs", "ls", "--state", "lost"]),
        (2, &["submit", "hi"]),
        (2, &["submit", "hi", "-m", A, "--endpoint", "/api/embed"]),
        (2, &["jobs", "ls", "--url", "mac.local:8080"]),
        (4, &["jobs", "ls", "--url", "http://127.0.0.1:1"]),
        (4, &["queue", "--url", "http://127.0.0.1:1", "--json"]),
    ] {
        let ran = run(&foreman, args).await;

        assert_eq!(ran.code, Some(code), "{args:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.starts_with("error: "), "{args:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{args:?}");
    }
}

#[tokio::test]
async fn a_token_is_shown_where_one_is_wanted() {
    let settings = foreman().set("TOKENS", "alice=open-sesame-1");
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), settings).await;

    let stranger = run(&foreman, &["jobs", "ls"]).await;
    let known = run(&foreman, &["jobs", "ls", "--token", "open-sesame-1"]).await;

    stranger.bad(1, "FOREMAN_TOKEN");
    known.good();
}

#[tokio::test]
async fn the_variables_of_the_commands_are_no_unknown_settings() {
    let builder = foreman()
        .set("URL", "http://a")
        .set("TOKEN", "open-sesame-1");

    let output = builder.command().arg("check").output().await.unwrap();

    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(!text.contains("open-sesame"), "{text}");
}

#[tokio::test]
async fn a_backup_of_a_running_foreman_is_a_queue_that_runs_on() {
    let Pair { stub, mut foreman } = pair().await;
    run(&foreman, &["submit", "-m", A, "--wait", "one"])
        .await
        .good();
    let gate = stub.hold(Hold::before_first_token());
    let running = submit(&foreman, &["two"]).await;
    gate.reached().await;
    let database = foreman.database();
    let copy = foreman.directory().join("copy.db");
    let args = [
        "backup",
        copy.to_str().unwrap(),
        "--db",
        database.to_str().unwrap(),
    ];

    let made = run(&foreman, &[&args[..], &["--json"]].concat())
        .await
        .good()
        .json();
    let refused = run(&foreman, &args).await.bad(1, "is there already");
    run(&foreman, &[&args[..], &["--force"]].concat())
        .await
        .good();
    assert_eq!((&made["jobs"], refused.out.as_str()), (&2.into(), ""));
    foreman.kill().await;
    gate.release();
    restore(&copy, &database);
    let again = crate::foreman()
        .after(&foreman)
        .target(&stub.url())
        .start()
        .await;

    let followed = run(&again, &["jobs", "follow", &running]).await.good();
    assert!(followed.out.contains("two"), "{}", followed.out);
}

/// Does what the manual says.
fn restore(copy: &Path, database: &Path) {
    std::fs::rename(copy, database).unwrap();
    for ending in ["-wal", "-shm"] {
        let _removed = std::fs::remove_file(format!("{}{ending}", database.display()));
    }
}

#[tokio::test]
async fn a_backup_needs_a_database_and_no_running_foreman() {
    let Pair {
        stub: _stub,
        mut foreman,
    } = pair().await;
    run(&foreman, &["submit", "-m", A, "--wait", "one"])
        .await
        .good();
    foreman.kill().await;
    let database = foreman.database();
    let copy = foreman.directory().join("copy.db");
    let copy = copy.to_str().unwrap();

    let missing = run(&foreman, &["backup", copy, "--db", "/nowhere/foreman.db"]).await;
    let made = run(
        &foreman,
        &["backup", copy, "--db", database.to_str().unwrap()],
    )
    .await
    .good();

    missing.bad(5, "there is no database at /nowhere/foreman.db");
    assert!(made.out.contains("1 jobs"), "{}", made.out);
}

#[tokio::test]
async fn shells_can_load_their_completions() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let surroundings = foreman();
        let mut command = surroundings.command();
        let output = command.args(["completions", shell]).output();
        let output = output.await.unwrap();
        let script = directory.path().join(shell);
        std::fs::write(&script, &output.stdout).unwrap();

        assert!(output.status.success() && output.stdout.len() > 1_000);
        let checked = std::process::Command::new(shell)
            .arg("-n")
            .arg(&script)
            .status();
        match checked {
            Ok(status) => assert!(status.success(), "{shell}"),
            // Not every machine has every shell.
            Err(_) => assert_ne!(shell, "bash"),
        }
    }
}
