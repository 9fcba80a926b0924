//! The names, defaults and descriptions of all settings.

/// One setting as it is documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingInfo {
    /// Its key in the file.
    pub key: &'static str,
    /// Its value when no source gives one.
    pub default: DefaultValue,
    /// One line about it.
    pub description: &'static str,
    /// The flag of `foreman serve` that sets it.
    pub flag: Option<&'static str>,
    /// Whether its value must never be shown.
    pub secret: bool,
}

/// What a setting is when no source gives a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// This text.
    Text(&'static str),
    /// Nothing.
    Unset,
    /// The database file in the platform's data directory.
    DataDirectory,
}

/// All settings, in the order in which they are listed.
pub const SETTINGS: &[SettingInfo] = &[
    setting(
        "listen",
        DefaultValue::Text("127.0.0.1:8080"),
        "address and port to listen on; one that other machines can reach needs tokens",
    )
    .flag("--listen"),
    setting(
        "allow_anonymous",
        DefaultValue::Text("false"),
        "`true` accepts callers without a token on any address",
    ),
    setting(
        "ollama_url",
        DefaultValue::Text("http://127.0.0.1:11434"),
        "the target: http or https, a path prefix is allowed",
    )
    .flag("--target"),
    setting("ollama_token", DefaultValue::Unset, "bearer token sent to the target").secret(),
    setting(
        "ollama_token_file",
        DefaultValue::Unset,
        "file that holds the bearer token sent to the target",
    ),
    setting(
        "embed_model",
        DefaultValue::Unset,
        "embedding model kept loaded at the target; none: no warming",
    )
    .flag("--embed-model"),
    setting(
        "poll_interval",
        DefaultValue::Text("30s"),
        "time between two looks at the target's models",
    ),
    setting(
        "db",
        DefaultValue::DataDirectory,
        "database file; it has one owner at a time",
    )
    .flag("--db"),
    setting(
        "tokens",
        DefaultValue::Unset,
        "bearer tokens of callers: `name=token`, each with `;max_priority=`, `;max_queued=`, `;max_concurrent=`, `;max_rate=` (`60/m`) as wanted, separated by commas",
    )
    .secret(),
    setting(
        "tokens_file",
        DefaultValue::Unset,
        "file that holds the tokens of callers, one `name=token` a line",
    ),
    setting(
        "max_attempts",
        DefaultValue::Text("5"),
        "attempts of one job that may fail on the connection or the target",
    ),
    setting(
        "retry_base",
        DefaultValue::Text("500ms"),
        "wait before the second attempt; doubles with each, ± 50 % jitter",
    ),
    setting("retry_max", DefaultValue::Text("30s"), "longest wait before an attempt"),
    setting(
        "max_wait",
        DefaultValue::Text("5m"),
        "the oldest waiting job goes next, whatever is resident, once it has waited this long; `0` drains strictly",
    ),
    setting(
        "keep_alive",
        DefaultValue::Text("30m"),
        "how long the worker's model stays loaded after its last job; `-1` or `forever` pins it",
    ),
    setting("max_queue", DefaultValue::Text("10000"), "jobs that may wait"),
    setting("max_body", DefaultValue::Text("256MiB"), "largest request body"),
    setting(
        "connect_timeout",
        DefaultValue::Text("5s"),
        "limit for connecting to the target",
    ),
    setting(
        "first_byte_timeout",
        DefaultValue::Text("10m"),
        "limit for the first byte of the target's answer",
    ),
    setting(
        "idle_timeout",
        DefaultValue::Text("2m"),
        "limit between two pieces of the target's answer",
    ),
    setting("max_run", DefaultValue::Text("1h"), "limit for one whole attempt"),
    setting(
        "retain_bodies",
        DefaultValue::Text("24h"),
        "how long requests and answers are kept after the end; `0s` forgets a body with its last byte",
    ),
    setting(
        "retain_jobs",
        DefaultValue::Text("7d"),
        "how long jobs are kept after the end",
    ),
    setting(
        "interim",
        DefaultValue::Text("auto"),
        "interim responses to waiting callers: `auto`, `on`, `off`, or an interval",
    ),
    setting(
        "shutdown_grace",
        DefaultValue::Text("30s"),
        "how long running jobs may go on after a shutdown is asked for",
    ),
    setting(
        "log",
        DefaultValue::Text("info"),
        "log level, or a filter such as `info,foreman_scheduler=debug`",
    )
    .flag("--log"),
    setting(
        "log_format",
        DefaultValue::Text("auto"),
        "`human`, `json`, or `auto`: human on a terminal, JSON elsewhere",
    )
    .flag("--log-format"),
];

impl SettingInfo {
    /// Returns the name of its environment variable.
    pub fn variable(&self) -> String {
        variable(self.key)
    }

    const fn flag(self, flag: &'static str) -> Self {
        Self {
            flag: Some(flag),
            ..self
        }
    }

    const fn secret(self) -> Self {
        Self {
            secret: true,
            ..self
        }
    }
}

/// Returns a Markdown table of all settings, as it stands in the README.
pub fn settings_table() -> String {
    let rows = SETTINGS.iter().map(|info| {
        let default = match info.default {
            DefaultValue::Text(text) => format!("`{text}`"),
            DefaultValue::Unset => "–".to_owned(),
            DefaultValue::DataDirectory => {
                "`foreman.db` in the platform's data directory".to_owned()
            }
        };
        format!(
            "| `{}` | {default} | {} |\n",
            info.variable(),
            info.description
        )
    });
    let head = "| variable | default | |\n|---|---|---|\n".to_owned();
    std::iter::once(head).chain(rows).collect()
}

/// Finds the setting of a key.
pub(super) fn find(key: &str) -> Option<&'static SettingInfo> {
    SETTINGS.iter().find(|info| info.key == key)
}

/// Returns the environment variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!("FOREMAN_{}", key.to_ascii_uppercase())
}

const fn setting(
    key: &'static str,
    default: DefaultValue,
    description: &'static str,
) -> SettingInfo {
    SettingInfo {
        key,
        default,
        description,
        flag: None,
        secret: false,
    }
}
