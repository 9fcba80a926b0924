//! Tests of loading settings from several sources.

use std::fs;

use foreman_job::Priority;
use rstest::rstest;

use super::*;

fn input(variables: &[(&str, &str)]) -> Input {
    let mut input = Input {
        directory: "/nowhere".into(),
        ..Input::default()
    };
    input.variables.push(("HOME".into(), "/home/ann".into()));
    for (name, value) in variables {
        input.variables.push((name.into(), value.into()));
    }
    input
}

/// Loads a file together with variables; the directory is gone afterwards.
fn with_file(text: &str, variables: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("foreman.toml"), text).unwrap();
    let mut input = input(variables);
    input.directory = directory.path().to_owned();
    input.flags = flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
    load(&input)
}

fn row<'a>(loaded: &'a Loaded, key: &str) -> &'a Effective {
    loaded.effective.iter().find(|row| row.key == key).unwrap()
}

fn problems(loaded: &Loaded) -> Vec<String> {
    loaded.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let loaded = load(&input(&[]));

    assert_eq!(problems(&loaded), Vec::<String>::new());
    for (info, row) in SETTINGS.iter().zip(&loaded.effective) {
        assert_eq!((info.key, &Source::Default), (row.key, &row.source));
        match info.default {
            DefaultValue::Text(text) => assert_eq!(row.value.as_deref(), Some(text)),
            DefaultValue::Unset => assert_eq!(row.value, None),
            DefaultValue::DataDirectory => {
                assert!(row.value.as_ref().unwrap().ends_with("/foreman/foreman.db"));
            }
        }
    }
    assert_eq!(loaded.effective.len(), SETTINGS.len());
    let settings = loaded.into_settings().unwrap();
    assert!(settings.tokens.is_empty() && settings.target.token.is_none());
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "listen = '127.0.0.1:1'\nmax_queue = 7\nmax_attempts = '3'\nlog = 'warn'";
    let variables = [
        ("FOREMAN_LISTEN", "127.0.0.1:2"),
        ("FOREMAN_MAX_QUEUE", "8"),
    ];

    let loaded = with_file(file, &variables, &[("listen", "127.0.0.1:3")]);

    let value = |key| {
        let row = row(&loaded, key);
        (row.value.as_deref().unwrap(), row.source.kind())
    };
    assert_eq!(value("listen"), ("127.0.0.1:3", "flag"));
    assert_eq!(value("max_queue"), ("8", "environment"));
    assert_eq!(value("max_attempts"), ("3", "file"));
    assert_eq!(value("retry_base"), ("500ms", "default"));
    assert_eq!(row(&loaded, "listen").source.to_string(), "--listen");
    assert_eq!(
        row(&loaded, "max_queue").source.to_string(),
        "FOREMAN_MAX_QUEUE"
    );
    assert!(
        row(&loaded, "log")
            .source
            .to_string()
            .ends_with("foreman.toml")
    );
    assert_eq!(loaded.into_settings().unwrap().queue.max_queue, 8);
}

#[test]
fn a_token_of_digits_stays_a_text_in_the_environment() {
    let settings = load(&input(&[("FOREMAN_OLLAMA_TOKEN", "0123456")]))
        .into_settings()
        .unwrap();

    assert_eq!(settings.target.token.unwrap().expose(), "0123456");
}

#[rstest]
#[case(
    "FOREMAN_LISEN",
    "FOREMAN_LISEN: unknown variable (value \"90s\"): did you mean FOREMAN_LISTEN?"
)]
#[case(
    "FOREMAN_LOGFORMAT",
    "FOREMAN_LOGFORMAT: unknown variable (value \"90s\"): did you mean FOREMAN_LOG_FORMAT?"
)]
#[case(
    "FOREMAN_CONFG",
    "FOREMAN_CONFG: unknown variable (value \"90s\"): did you mean FOREMAN_CONFIG?"
)]
#[case(
    "FOREMAN_Listen",
    "FOREMAN_Listen: unknown variable (value \"90s\"): did you mean FOREMAN_LISTEN?"
)]
#[case(
    "FOREMAN_TOKNS",
    "FOREMAN_TOKNS: unknown variable: did you mean FOREMAN_TOKENS?"
)]
#[case(
    "FOREMAN_API_KEY",
    "FOREMAN_API_KEY: unknown variable: `foreman check` lists all that are known"
)]
#[case(
    "FOREMAN_ZZZZZZZZ",
    "FOREMAN_ZZZZZZZZ: unknown variable (value \"90s\"): `foreman check` lists all that are known"
)]
fn an_unknown_variable_is_named_with_its_value_unless_that_may_be_a_secret(
    #[case] name: &str,
    #[case] message: &str,
) {
    let loaded = load(&input(&[(name, "90s")]));

    assert_eq!(problems(&loaded), [message]);
}

#[test]
fn an_unknown_key_is_named_with_its_file() {
    let loaded = with_file("max-queue = 4\n[server]\nport = 1", &[], &[]);

    let problems = problems(&loaded);
    assert_eq!(problems.len(), 2);
    assert!(
        problems[0].ends_with(
            "foreman.toml: max-queue: unknown key (value \"4\"): did you mean max_queue?"
        )
    );
    assert!(problems[1].contains("foreman.toml: server: unknown key"));
}

#[test]
fn variables_of_service_discovery_are_none_of_ours() {
    let loaded = load(&input(&[
        ("FOREMAN_SERVICE_HOST", "10.0.0.1"),
        ("FOREMAN_SERVICE_PORT_HTTP", "80"),
        ("FOREMAN_PORT", "tcp://10.0.0.1:80"),
        ("FOREMAN_PORT_80_TCP_ADDR", "10.0.0.1"),
    ]));

    assert_eq!(problems(&loaded), Vec::<String>::new());
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let loaded = load(&input(&[("FOREMAN_LISTEN", ""), ("FOREMAN_TOKENS", "")]));

    assert_eq!(row(&loaded, "listen").source, Source::Default);
    assert!(loaded.into_settings().is_ok());
}

#[test]
fn all_problems_are_told_at_once_also_of_values_that_are_replaced() {
    let file = "listen = 8080\nretry_max = '5'\nallow_anonymous = 'maybe'\nmax_body = 1.5";
    let variables = [
        ("FOREMAN_LISTEN", "127.0.0.1:1"),
        ("FOREMAN_MAX_ATTEMPTS", "0"),
        ("FOREMAN_INTERIM", "sometimes"),
    ];

    let loaded = with_file(file, &variables, &[("log", "inof")]);

    let text = problems(&loaded).join("\n");
    for expected in [
        "listen: invalid value 8080: expected an IP address with a port",
        "retry_max: invalid value \"5\": expected a duration such as",
        "allow_anonymous: invalid value \"maybe\": expected true or false",
        "max_body: invalid value a number with a fraction: expected a size",
        "FOREMAN_MAX_ATTEMPTS: invalid value \"0\": expected a whole number from 1 to 1000",
        "FOREMAN_INTERIM: invalid value \"sometimes\": expected auto, on, off or an interval",
        "--log: invalid value \"inof\": expected a level",
    ] {
        assert!(text.contains(expected), "{expected}\nis not in\n{text}");
    }
    assert_eq!(loaded.problems.len(), 7);
    assert_eq!(row(&loaded, "interim").value.as_deref(), Some("(invalid)"));
}

#[rstest]
#[case(
    "FOREMAN_OLLAMA_URL",
    "mac:11434",
    "address does not start with http:// or https://"
)]
#[case("FOREMAN_OLLAMA_URL", "http://me:pw@mac", "FOREMAN_OLLAMA_TOKEN")]
#[case("FOREMAN_OLLAMA_URL", "http://mac/?a=1", "address has a query")]
#[case("FOREMAN_POLL_INTERVAL", "10ms", "expected 100ms or longer")]
#[case("FOREMAN_CONNECT_TIMEOUT", "0", "expected 1ms or longer")]
#[case("FOREMAN_RETRY_BASE", "0s", "expected 1ms or longer")]
#[case("FOREMAN_MAX_QUEUE", "0", "expected a whole number from 1")]
#[case("FOREMAN_MAX_BODY", "0", "expected 1B or more")]
#[case("FOREMAN_EMBED_MODEL", "all minilm", "expected the name of a model")]
#[case("FOREMAN_LOG_FORMAT", "xml", "expected auto, human or json")]
#[case(
    "FOREMAN_KEEP_ALIVE",
    "5",
    "expected a duration such as 30m, or -1 or forever"
)]
#[case(
    "FOREMAN_RETRY_BASE",
    "1m",
    "1m is above retry_max, which is 30s (by default)"
)]
fn a_bad_value_says_what_is_expected(
    #[case] variable: &str,
    #[case] value: &str,
    #[case] expected: &str,
) {
    let problems = problems(&load(&input(&[(variable, value)])));

    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with(variable) && problems[0].contains(expected),
        "{problems:?}"
    );
}

#[rstest]
#[case(&[("FOREMAN_LISTEN", "0.0.0.0:8080")], false)]
#[case(&[("FOREMAN_LISTEN", "[::]:8080")], false)]
#[case(&[("FOREMAN_LISTEN", "192.168.1.7:8080")], false)]
#[case(&[("FOREMAN_LISTEN", "127.0.0.9:8080")], true)]
#[case(&[("FOREMAN_LISTEN", "[::1]:8080")], true)]
#[case(&[("FOREMAN_LISTEN", "[::ffff:127.0.0.1]:8080")], true)]
#[case(&[("FOREMAN_LISTEN", "0.0.0.0:8080"), ("FOREMAN_ALLOW_ANONYMOUS", "true")], true)]
#[case(&[("FOREMAN_LISTEN", "0.0.0.0:8080"), ("FOREMAN_TOKENS", "ann=ann-token")], true)]
fn other_machines_need_tokens(#[case] variables: &[(&str, &str)], #[case] accepted: bool) {
    let problems = problems(&load(&input(variables)));

    assert_eq!(problems.is_empty(), accepted, "{problems:?}");
    if let Some(problem) = problems.first() {
        for way_out in [
            "FOREMAN_TOKENS",
            "127.0.0.1",
            "FOREMAN_ALLOW_ANONYMOUS=true",
        ] {
            assert!(problem.contains(way_out));
        }
    }
}

#[test]
fn without_a_home_directory_the_database_must_be_named() {
    let without_home = |variables: &[(&str, &str)]| {
        let mut input = input(variables);
        input.variables.retain(|(name, _)| name != "HOME");
        load(&input)
    };

    let problems = problems(&without_home(&[]));

    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("FOREMAN_DB"));
    let settings = without_home(&[("FOREMAN_DB", "jobs.db")]).into_settings();
    assert_eq!(
        settings.unwrap().db,
        std::path::Path::new("/nowhere/jobs.db")
    );
}

#[test]
fn a_max_wait_of_zero_drains_strictly() {
    let max_wait = |text| {
        let loaded = load(&input(&[("FOREMAN_MAX_WAIT", text)]));
        loaded.into_settings().unwrap().queue.max_wait
    };

    assert_eq!(max_wait("0"), None);
    assert_eq!(max_wait("1m"), Some(std::time::Duration::from_mins(1)));
}

#[test]
fn callers_may_be_tables_in_the_file() {
    let inline = "tokens = [{name='ann', token='ann-token', max_queued=9}]";
    let tables = "[[tokens]]\nname='ann'\ntoken='ann-token'\nmax_priority='low'";

    let inline = with_file(inline, &[], &[]).into_settings().unwrap();
    let tables = with_file(tables, &[], &[]).into_settings().unwrap();

    assert_eq!(inline.tokens[0].max_queued, Some(9));
    assert_eq!(tables.tokens[0].max_priority, Some(Priority::Low));
    assert_eq!(tables.tokens[0].token.expose(), "ann-token");
}

#[rstest]
#[case(
    "tokens = [{name='ann', token=12345678}]",
    "entry 1 has a field that is no text"
)]
#[case("tokens = ['ann=ann-token']", "entry 1 is no table")]
#[case("tokens = [{name='ann'}]", "entry 1 has no token")]
#[case(
    "tokens = [{nmae='ann', token='ann-token'}]",
    "entry 1 has a field other than name"
)]
#[case("tokens = 12345678", "expected name=token entries")]
#[case("ollama_token = 12345678", "a text needs quotes")]
fn a_bad_secret_in_the_file_is_told_without_it(#[case] file: &str, #[case] expected: &str) {
    let problems = problems(&with_file(file, &[], &[]));

    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains(expected), "{problems:?}");
    assert!(!problems[0].contains("1234") && !problems[0].contains("ann-token"));
}

#[test]
fn secrets_may_stand_in_files() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("target"), "to-the-target\n").unwrap();
    fs::write(
        directory.path().join("callers"),
        "# one\nann=ann-token\nbob=bob-token\n",
    )
    .unwrap();
    let mut input = input(&[
        ("FOREMAN_OLLAMA_TOKEN_FILE", "target"),
        ("FOREMAN_TOKENS_FILE", "callers"),
    ]);
    input.directory = directory.path().to_owned();

    let settings = load(&input).into_settings().unwrap();

    assert_eq!(settings.target.token.unwrap().expose(), "to-the-target");
    assert_eq!(settings.tokens.len(), 2);
}

#[test]
fn a_secret_and_a_file_for_it_contradict_each_other() {
    let loaded = load(&input(&[
        ("FOREMAN_OLLAMA_TOKEN", "a-token"),
        ("FOREMAN_OLLAMA_TOKEN_FILE", "file"),
        ("FOREMAN_TOKENS_FILE", "missing"),
    ]));

    let problems = problems(&loaded);
    assert_eq!(
        problems[0],
        "FOREMAN_OLLAMA_TOKEN_FILE: ollama_token is set too (by FOREMAN_OLLAMA_TOKEN): remove one of them"
    );
    assert!(problems[1].starts_with("FOREMAN_TOKENS_FILE: /nowhere/missing cannot be read"));
    assert_eq!(problems.len(), 2);
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let by_variable = problems(&load(&input(&[("FOREMAN_CONFIG", "my.toml")])));
    let mut named = input(&[("FOREMAN_CONFIG", "my.toml")]);
    named.config = Some("flag.toml".into());
    let by_flag = problems(&load(&named));

    assert!(by_variable[0].starts_with("FOREMAN_CONFIG: /nowhere/my.toml cannot be read"));
    assert!(by_flag[0].starts_with("--config: /nowhere/flag.toml cannot be read"));
}

#[rstest]
#[case(
    "listen = '127.0.0.1:1'\nollama_token = s3ntinel-token\n",
    "line 2, column 16"
)]
#[case("ollama_token = 's3ntinel-token\n", "line 1")]
#[case("ollama_token = 0123456\n", "line 1")]
#[case("[a]\n's3ntinel-token' = 1\n's3ntinel-token' = 2\n", "line 3")]
fn a_syntax_error_names_the_place_and_not_the_line(#[case] file: &str, #[case] place: &str) {
    let problems = problems(&with_file(file, &[], &[]));

    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("is no valid TOML at ") && problems[0].contains(place),
        "{problems:?}"
    );
    assert!(!problems[0].contains("s3ntinel") && !problems[0].contains("0123456"));
}

#[test]
fn the_table_has_a_line_for_every_setting() {
    let table = settings_table();

    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), SETTINGS.len() + 2);
    assert!(lines.contains(&"| `FOREMAN_MAX_ATTEMPTS` | `5` | attempts of one job that may fail on the connection or the target |"));
    assert!(table.contains("| `FOREMAN_DB` | `foreman.db` in the platform's data directory |"));
    assert!(table.contains("| `FOREMAN_EMBED_MODEL` | – |"));
}
