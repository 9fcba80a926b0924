//! The program as a whole, run in process.

use std::fs;
use std::path::Path;

use foreman_cli::{Environment, Exit, Output, run_from};

const SENTINEL: &str = "s3ntinel-0123456";

struct Run {
    exit: Exit,
    out: String,
    err: String,
}

fn foreman(args: &[&str], variables: &[(&str, &str)], directory: &Path) -> Run {
    let mut environment = Environment {
        directory: directory.to_owned(),
        ..Environment::default()
    };
    let home = ("HOME", "/home/ann");
    for (name, value) in [home].iter().chain(variables) {
        environment.variables.push((name.into(), value.into()));
    }
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut output = Output {
        out: &mut out,
        err: &mut err,
    };
    let args = ["foreman"].iter().chain(args);
    let exit = run_from(args, &environment, &mut output);
    Run {
        exit,
        out: String::from_utf8_lossy(&out).into_owned(),
        err: String::from_utf8_lossy(&err).into_owned(),
    }
}

fn nowhere() -> &'static Path {
    Path::new("/nowhere")
}

#[test]
fn version_is_one_line() {
    let run = foreman(&["--version"], &[], nowhere());

    assert_eq!((run.exit, run.err.as_str()), (Exit::Ok, ""));
    assert_eq!(run.out, format!("foreman {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_has_examples_and_all_exit_codes() {
    let run = foreman(&["--help"], &[], nowhere());

    assert_eq!((run.exit, run.err.as_str()), (Exit::Ok, ""));
    assert!(
        run.out
            .contains("foreman serve --target http://mac.local:11434")
    );
    for exit in Exit::ALL {
        assert!(
            run.out
                .contains(&format!("{}  {}", exit.code(), exit.meaning()))
        );
    }
    assert!(!run.out.contains('\u{1b}'), "no colour in a pipe");
}

#[test]
fn a_wrong_command_line_is_a_matter_of_usage() {
    for args in [
        &["fly"][..],
        &[],
        &["check", "--yaml"],
        &["serve", "--stub-tokens", "many"],
        &["serve", "--stub-load-time", "5 parsecs", "--target", "stub"],
        &["serve", "--stub-model", "a"],
    ] {
        let run = foreman(args, &[], nowhere());

        assert_eq!((run.exit, run.out.as_str()), (Exit::Usage, ""), "{args:?}");
        assert!(!run.err.is_empty());
    }
}

#[test]
fn check_lists_every_setting_with_its_source() {
    let variables = [
        ("FOREMAN_MAX_QUEUE", "7"),
        ("FOREMAN_TOKENS", "ann=ann-token"),
    ];

    let run = foreman(&["check"], &variables, nowhere());

    assert_eq!((run.exit, run.err.as_str()), (Exit::Ok, ""));
    let lines: Vec<Vec<&str>> = run
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["SETTING", "VALUE", "SOURCE"]);
    assert!(lines.contains(&vec!["max_queue", "7", "FOREMAN_MAX_QUEUE"]));
    assert!(lines.contains(&vec!["tokens", "ann=***", "FOREMAN_TOKENS"]));
    assert!(lines.contains(&vec!["embed_model", "-", "default"]));
    let columns: Vec<_> = run
        .out
        .lines()
        .map(|line| line.rfind("  ").unwrap())
        .collect();
    assert!(
        columns.iter().all(|column| *column == columns[0]),
        "aligned"
    );
}

#[test]
fn check_names_what_is_wrong_and_exits_with_3() {
    let variables = [("FOREMAN_MAX_QUEUE", "many"), ("FOREMAN_LISEN", "x")];

    let run = foreman(&["check"], &variables, nowhere());

    assert_eq!((run.exit, run.exit.code()), (Exit::Config, 3));
    let expected = "error: FOREMAN_LISEN: unknown variable (value \"x\"): did you mean FOREMAN_LISTEN?\n\
        error: FOREMAN_MAX_QUEUE: invalid value \"many\": expected a whole number from 1 to 1000000000\n";
    assert_eq!(run.err, expected);
    assert!(run.out.contains("(invalid)"));
}

#[test]
fn check_speaks_json() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("my.toml");
    fs::write(&file, "keep_alive = -1\nmax_attempts = 0").unwrap();
    let config = file.to_str().unwrap();

    let run = foreman(&["check", "--json", "--config", config], &[], nowhere());

    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.exit, &report["ok"]), (Exit::Config, &false.into()));
    let settings = report["settings"].as_array().unwrap();
    let keep_alive = settings.iter().find(|row| row["key"] == "keep_alive");
    assert_eq!(
        keep_alive.unwrap(),
        &serde_json::json!({
            "key": "keep_alive",
            "variable": "FOREMAN_KEEP_ALIVE",
            "value": "forever",
            "source": {"kind": "file", "name": config},
        })
    );
    assert_eq!(report["problems"][0]["key"], "max_attempts");
    assert_eq!(report["problems"][0]["source"]["kind"], "file");
    assert_eq!(run.err.lines().count(), 1);
}

#[test]
fn serve_refuses_wrong_settings_before_anything_starts() {
    let args = [
        "serve",
        "--listen",
        "0.0.0.0:8080",
        "--target",
        "http://me:pw@mac",
    ];

    let run = foreman(&args, &[], nowhere());

    assert_eq!((run.exit, run.out.as_str()), (Exit::Config, ""));
    let lines: Vec<_> = run.err.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("error: --target: invalid value: address holds a user name"));
    assert!(lines[1].starts_with("error: --listen: 0.0.0.0:8080 can be reached"));
}

#[test]
fn no_output_ever_holds_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let in_file = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let pair = format!("ann={SENTINEL}");
    let url = format!("http://me:{SENTINEL}@mac");
    let bad_pair = format!("{SENTINEL};{SENTINEL},{SENTINEL}={SENTINEL} {SENTINEL}");
    let files = [
        format!("ollama_token = '{SENTINEL}'\ntokens = '{pair}'"),
        format!("ollama_token = {SENTINEL}"),
        format!("ollama_token = ['{SENTINEL}']\ntokens = [['{SENTINEL}']]"),
        format!("tokens = [{{name='{SENTINEL} ', token='{SENTINEL}'}}]"),
        format!("tokens = [{{name='ann', '{SENTINEL}'='{SENTINEL}'}}]"),
        format!("ollama_tken = '{SENTINEL}'\n[tkens]\nann = '{SENTINEL}'"),
        format!("ollama_url = '{url}'\nollama_token_file = 'bad'\ntokens_file = 'bad'"),
        format!("ollama_url = 'http://mac/?key={SENTINEL}'\ntokens_file = 'good'"),
    ];
    let environments: [&[(&str, &str)]; 5] = [
        &[],
        &[
            ("FOREMAN_OLLAMA_TOKEN", SENTINEL),
            ("FOREMAN_TOKENS", &pair),
        ],
        &[
            ("FOREMAN_OLAMA_TOKEN", SENTINEL),
            ("FOREMAN_TOKENS", SENTINEL),
        ],
        &[("FOREMAN_TOKENS", &bad_pair), ("FOREMAN_OLLAMA_URL", &url)],
        &[("OLLAMA_TOKEN", SENTINEL)],
    ];
    in_file("good", &format!("{pair}\n"));
    in_file("bad", &format!("{SENTINEL} {SENTINEL}\n{SENTINEL}\n"));
    for file in &files {
        in_file("foreman.toml", file);
        for variables in environments {
            for args in [
                &["check"][..],
                &["check", "--json"],
                // A bad flag keeps a healthy environment from being served.
                &["serve", "--target", &url, "--listen", "0.0.0.0"],
            ] {
                let run = foreman(args, variables, directory.path());

                let all = format!("{}{}", run.out, run.err);
                assert!(!all.contains(SENTINEL), "{file}\n{variables:?}\n{all}");
                assert!(!all.is_empty());
            }
        }
    }
}
