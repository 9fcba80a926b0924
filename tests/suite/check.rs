//! `foreman check` and the refusals of a start.

use std::process::Output;

use crate::foreman;

async fn check(settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let builder = settings
        .iter()
        .fold(foreman(), |it, (name, value)| it.set(name, value));
    let Output {
        status,
        stdout,
        stderr,
    } = builder.command().arg("check").output().await.unwrap();
    let text = String::from_utf8([stdout, stderr].concat()).unwrap();
    (status.code(), text)
}

#[tokio::test]
async fn good_settings_are_shown_with_their_sources() {
    let (code, text) = check(&[("MAX_WAIT", "90s"), ("OLLAMA_TOKEN", "sesame-open")]).await;

    assert_eq!(code, Some(0), "{text}");
    let line = text
        .lines()
        .find(|line| line.starts_with("max_wait"))
        .unwrap();
    assert!(line.contains("FOREMAN_MAX_WAIT"), "{line}");
    assert!(!text.contains("sesame-open"), "{text}");
}

#[tokio::test]
async fn a_wrong_key_a_wrong_duration_and_a_wrong_url_are_named_with_value_and_source() {
    let wrong = [
        ("MAX_WAITT", "90s", "max_wait"),
        ("MAX_WAIT", "ninety", "ninety"),
        ("OLLAMA_URL", "ftp://mac.local", "ftp://mac.local"),
    ];
    for (name, value, told) in wrong {
        let (code, text) = check(&[(name, value)]).await;

        assert_eq!(code, Some(3), "{text}");
        assert!(text.contains(&format!("FOREMAN_{name}")), "{text}");
        assert!(text.contains(told), "{text}");
    }
}

#[tokio::test]
async fn an_address_for_everybody_needs_tokens() {
    let (code, text) = check(&[("LISTEN", "0.0.0.0:8080")]).await;
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("FOREMAN_ALLOW_ANONYMOUS"), "{text}");

    let (code, _) = check(&[("LISTEN", "0.0.0.0:8080"), ("TOKENS", "alice=open-sesame")]).await;
    assert_eq!(code, Some(0));
}
