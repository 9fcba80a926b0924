//! What the program's exit code says.

use std::process::ExitCode;

/// How a run of the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for was done.
    Ok,
    /// It was not done, for a reason that has no code of its own.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// A setting is unknown, malformed or contradicts another.
    Config,
    /// The target or a running foreman does not answer.
    Unreachable,
    /// What was named does not exist.
    NotFound,
    /// A defect of foreman itself.
    Internal,
    /// A signal ended it before its work was finished.
    Interrupted,
}

impl Exit {
    /// All endings, by code.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Config,
        Self::Unreachable,
        Self::NotFound,
        Self::Internal,
        Self::Interrupted,
    ];

    /// Returns the number that the operating system gets.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Config => 3,
            Self::Unreachable => 4,
            Self::NotFound => 5,
            Self::Internal => 70,
            Self::Interrupted => 130,
        }
    }

    /// Returns what the code means, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Failed => "failed",
            Self::Usage => "wrong command line",
            Self::Config => "wrong settings",
            Self::Unreachable => "target or foreman unreachable",
            Self::NotFound => "not found",
            Self::Internal => "internal error",
            Self::Interrupted => "interrupted by a signal",
        }
    }

    /// Returns the table of all codes, one a line, for the help text.
    pub(crate) fn table() -> String {
        let rows = Self::ALL.map(|exit| format!("  {:>3}  {}", exit.code(), exit.meaning()));
        rows.join("\n")
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_has_the_code_that_is_promised() {
        let codes = Exit::ALL.map(Exit::code);

        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 70, 130]);
    }

    #[test]
    fn the_table_names_every_code() {
        let table = Exit::table();

        for exit in Exit::ALL {
            assert!(table.contains(&format!("{}  {}", exit.code(), exit.meaning())));
        }
    }
}
