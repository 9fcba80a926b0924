//! Where the database is when nobody says so.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Which customs for files apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Platform {
    /// Linux and the like.
    Xdg,
    MacOs,
}

impl Platform {
    /// The platform that this program was built for.
    pub(super) const fn current() -> Self {
        if cfg!(target_os = "macos") {
            Self::MacOs
        } else {
            Self::Xdg
        }
    }
}

/// Returns the database file in the platform's data directory, if the environment names one.
pub(super) fn default_db(
    platform: Platform,
    variables: &[(OsString, OsString)],
) -> Option<PathBuf> {
    let absolute = |name: &str| {
        let value = variables.iter().find(|(key, _)| key == OsStr::new(name));
        // A relative data directory is to be ignored, says the XDG specification.
        value
            .map(|(_, value)| Path::new(value))
            .filter(|path| path.is_absolute())
    };
    let data = match platform {
        Platform::Xdg => absolute("XDG_DATA_HOME")
            .map(Path::to_owned)
            .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))?,
        Platform::MacOs => absolute("HOME")?.join("Library/Application Support"),
    };
    Some(data.join("foreman").join("foreman.db"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Platform::Xdg, &[("HOME", "/home/ann")], Some("/home/ann/.local/share/foreman/foreman.db"))]
    #[case(Platform::Xdg, &[("HOME", "/home/ann"), ("XDG_DATA_HOME", "/data")], Some("/data/foreman/foreman.db"))]
    #[case(Platform::Xdg, &[("HOME", "/h"), ("XDG_DATA_HOME", "data")], Some("/h/.local/share/foreman/foreman.db"))]
    #[case(Platform::MacOs, &[("HOME", "/Users/ann"), ("XDG_DATA_HOME", "/data")], Some("/Users/ann/Library/Application Support/foreman/foreman.db"))]
    #[case(Platform::Xdg, &[("HOME", "")], None)]
    #[case(Platform::MacOs, &[], None)]
    fn the_database_is_in_the_data_directory_of_the_platform(
        #[case] platform: Platform,
        #[case] variables: &[(&str, &str)],
        #[case] path: Option<&str>,
    ) {
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect();

        assert_eq!(default_db(platform, &variables), path.map(PathBuf::from));
    }
}
