//! What holds for the sources themselves: who may depend on whom, how files begin, how long they are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// Returns the dependencies of each workspace member, those of tests left out.
fn dependencies(of: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages
        .iter()
        .find(|package| package["name"] == of)
        .unwrap();
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    dependencies
        .filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Returns the sources of the workspace with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![
        root().join("crates"),
        root().join("foreman-bin"),
        root().join("tests"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_built = path.join("CACHEDIR.TAG").is_file();
            if path.is_dir() && !is_built && !["clients", "node_modules"].contains(&name.as_str()) {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 100, "the sources are not where they were");
    found
}

#[test]
fn layers_depend_downwards_only() {
    let allowed: [(&str, &[&str]); 6] = [
        ("foreman-job", &[]),
        ("foreman-ollama", &[]),
        ("foreman-stub", &[]),
        ("foreman-store", &["foreman-job"]),
        (
            "foreman-scheduler",
            &["foreman-job", "foreman-ollama", "foreman-store"],
        ),
        (
            "foreman-server",
            &[
                "foreman-job",
                "foreman-ollama",
                "foreman-store",
                "foreman-scheduler",
            ],
        ),
    ];
    for (package, below) in allowed {
        for dependency in dependencies(package) {
            if dependency.starts_with("foreman-") {
                assert!(
                    below.contains(&dependency.as_str()),
                    "{package} depends on {dependency}"
                );
            }
        }
    }
}

#[test]
fn each_tool_is_used_where_it_belongs() {
    let owners: [(&str, &[&str]); 9] = [
        ("rusqlite", &["foreman-store"]),
        ("r2d2", &["foreman-store"]),
        (
            "hyper",
            &["foreman-ollama", "foreman-server", "foreman-stub"],
        ),
        ("figment", &["foreman-bin"]),
        ("clap", &["foreman-bin", "foreman-stub"]),
        ("tracing-subscriber", &["foreman-bin"]),
        (
            "tokio",
            &[
                "foreman-ollama",
                "foreman-store",
                "foreman-scheduler",
                "foreman-server",
                "foreman-stub",
                "foreman-bin",
            ],
        ),
        (
            "async-trait",
            // The program's part is behind its feature `fail-points`.
            &[
                "foreman-ollama",
                "foreman-store",
                "foreman-scheduler",
                "foreman-bin",
            ],
        ),
        ("ulid", &["foreman-job"]),
    ];
    for package in [
        "foreman-job",
        "foreman-ollama",
        "foreman-store",
        "foreman-scheduler",
        "foreman-server",
        "foreman-stub",
        "foreman-bin",
    ] {
        let used = dependencies(package);
        for (tool, owners) in owners {
            assert!(
                !used.contains(tool) || owners.contains(&package),
                "{package} depends on {tool}"
            );
        }
    }
}

#[test]
fn every_file_says_its_subject_first_and_has_one() {
    for (path, text) in sources() {
        assert!(
            text.starts_with("//! "),
            "{} does not say its subject",
            path.display()
        );
        let lines = text.lines().count();
        assert!(lines <= 600, "{} has {lines} lines", path.display());
    }
}

#[test]
fn libraries_read_no_environment() {
    for (path, text) in sources() {
        let place = path.to_string_lossy();
        // An example is a program of its own.
        let is_library = !["/tests/", "/examples/"]
            .iter()
            .any(|it| place.contains(it));
        if path.starts_with(root().join("crates")) && is_library {
            let production = text.split("#[cfg(test)]").next().unwrap();
            assert!(!production.contains("std::env::"), "{}", path.display());
        }
    }
}

#[test]
fn nothing_is_put_off_or_silenced() {
    for (path, text) in sources() {
        if path.ends_with("suite/tidy.rs") {
            continue;
        }
        for word in ["TODO", "FIXME", "XXX", "#[ignore", "#[allow("] {
            assert!(!text.contains(word), "{} says {word}", path.display());
        }
    }
}

#[test]
fn the_readme_has_the_settings_as_they_are() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- settings:begin -->").unwrap();
    let (table, _) = rest.split_once("<!-- settings:end -->").unwrap();

    assert_eq!(table.trim(), foreman_cli::settings_table().trim());
}

/// Returns what stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn each_fault_case_names_the_tests_that_try_it() {
    let table = std::fs::read_to_string(root().join("tests/faults.md")).unwrap();
    let sources = sources();
    let mut numbers = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
        numbers.push(cells[0].parse::<u32>().unwrap());
        for name in quoted(cells[2]) {
            if Path::new(name).extension().is_some_and(|it| it == "rs") {
                assert!(
                    root().join(name).is_file(),
                    "case {}: no file {name}",
                    cells[0]
                );
            } else if name.matches('_').count() > 3 {
                let function = format!("fn {name}(");
                let is_there = sources.iter().any(|(_, text)| text.contains(&function));
                assert!(is_there, "case {}: no test {name}", cells[0]);
            }
        }
    }
    assert_eq!(numbers, (1..=79).collect::<Vec<_>>());
}
