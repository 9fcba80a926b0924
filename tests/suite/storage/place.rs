//! Where the database may not lie.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use foreman_tests::{Builder, within};

use crate::foreman;

/// Somebody who owns nothing here.
const NOBODY: u32 = 65_534;

/// Tries to serve as somebody without privileges; returns what is said.
async fn refusal(builder: &Builder) -> String {
    let mut command = builder.command();
    if rustix::process::geteuid().is_root() {
        // Root may write everywhere, so it is somebody else; whom the program must be readable for.
        let copy = builder.database().with_file_name("foreman");
        // By another process: a program that this one has open for writing, or a child of it that
        // is just being started, cannot be run.
        let copied = tokio::process::Command::new("cp")
            .arg(env!("CARGO_BIN_EXE_foreman-under-test"))
            .arg(&copy)
            .status();
        assert!(within("a copy", copied).await.unwrap().success());
        let mut other = tokio::process::Command::new(&copy);
        let inner = command.as_std();
        other
            .env_clear()
            .current_dir(inner.get_current_dir().unwrap());
        for (name, value) in inner.get_envs() {
            other.env(name, value.unwrap_or_default());
        }
        other.uid(NOBODY).gid(NOBODY);
        command = other;
    }
    let output = command.arg("serve").kill_on_drop(true).output();
    let output = within("a refusal", output).await.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(output.stdout.is_empty());
    text
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_named_before_anybody_can_connect() {
    let builder = foreman();
    let home = builder.database().parent().unwrap().to_path_buf();
    let closed = home.join("closed");
    fs::create_dir(&closed).unwrap();
    chmod(&home, 0o755);
    chmod(&closed, 0o555);
    let builder = builder.set("DB", &closed.join("foreman.db").to_string_lossy());

    let said = refusal(&builder).await;

    assert!(said.contains("cannot be written"), "{said}");
    assert!(said.contains("write access"), "{said}");
}

#[tokio::test]
async fn the_database_of_another_user_is_refused_with_what_to_do() {
    let builder = foreman();
    let home = builder.database().parent().unwrap().to_path_buf();
    fs::write(builder.database(), "").unwrap();
    chmod(
        &builder.database(),
        if rustix::process::geteuid().is_root() {
            0o600
        } else {
            0o000
        },
    );
    chmod(&home, 0o777);

    let said = refusal(&builder).await;

    assert!(said.contains("foreman.db"), "{said}");
    assert!(said.contains("write access"), "{said}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let builder = foreman();
    let home = builder.database().parent().unwrap().to_path_buf();
    chmod(&home, 0o755);
    fs::write(home.join("file"), "").unwrap();
    let builder = builder.set("DB", &home.join("file/foreman.db").to_string_lossy());

    let said = refusal(&builder).await;

    assert!(said.contains("file/foreman.db"), "{said}");
}

#[tokio::test]
async fn an_empty_file_is_taken_for_a_new_database() {
    let stub = foreman_tests::stub().start().await.unwrap();
    let builder = foreman().target(&stub.url());
    fs::write(builder.database(), "").unwrap();

    let foreman = builder.start().await;

    assert_eq!(foreman.health().await["status"], "ok");
}
