//! Checks settings against each other.

use std::net::SocketAddr;
use std::time::Duration;

use super::duration::format_duration;
use super::problem::Problem;
use super::read::Reader;
use super::tokens::CallerToken;

/// The wait before an attempt must not begin above its own limit.
pub(super) fn grows(reader: &mut Reader<'_>, base: Option<Duration>, max: Option<Duration>) {
    let (Some(base), Some(max)) = (base, max) else {
        return;
    };
    if base > max {
        let message = format!(
            "{} is above retry_max, which is {} (by {})",
            format_duration(base),
            format_duration(max),
            reader.source("retry_max")
        );
        reader.problem("retry_base", message);
    }
}

/// Without a home directory nobody can tell where the database should be.
pub(super) fn has_database(reader: &mut Reader<'_>) {
    let row = reader.effective.iter().find(|row| row.key == "db");
    if row.is_some_and(|row| row.value.is_none()) {
        let message = "there is no home directory to put the database in: set FOREMAN_DB";
        reader.problems.push(Problem::of_setting("db", message));
    }
}

/// Other machines may connect only with a token, unless somebody says that all may.
pub(super) fn is_not_open_to_all(
    reader: &mut Reader<'_>,
    listen: Option<SocketAddr>,
    allow_anonymous: Option<bool>,
    tokens: Option<&[CallerToken]>,
) {
    let (Some(listen), Some(false), Some([])) = (listen, allow_anonymous, tokens) else {
        return;
    };
    if !listen.ip().to_canonical().is_loopback() {
        let message = format!(
            "{listen} can be reached from other machines and there are no tokens: \
             set FOREMAN_TOKENS, or listen on 127.0.0.1, \
             or accept everyone with FOREMAN_ALLOW_ANONYMOUS=true"
        );
        reader.problem("listen", message);
    }
}
