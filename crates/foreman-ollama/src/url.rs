//! The address of the target.

use std::fmt;

use http::Uri;
use http::uri::{Authority, Scheme};

/// A parsed address: scheme, host, port and path prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetUrl {
    scheme: Scheme,
    authority: Authority,
    /// Empty, or starts with a slash and does not end with one.
    prefix: String,
}

/// What is wrong with an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetUrlError {
    /// Neither `http://` nor `https://` in front.
    #[error("address does not start with http:// or https://")]
    Scheme,
    /// A user name or password inside.
    #[error("address holds a user name or password; use the token setting for credentials")]
    UserInfo,
    /// No host.
    #[error("address names no host")]
    Host,
    /// A port that is no port.
    #[error("address has a port that is no number from 1 to 65535")]
    Port,
    /// A query or a fragment.
    #[error("address has a query or a fragment")]
    QueryOrFragment,
    /// Anything else that no address may have.
    #[error("address is no valid url")]
    Syntax,
}

impl TargetUrl {
    /// Parses an address.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it; never repeats it, since it may hold a password.
    pub fn parse(text: &str) -> Result<Self, TargetUrlError> {
        let text = text.trim();
        if text.contains(['?', '#']) {
            return Err(TargetUrlError::QueryOrFragment);
        }
        let lower = text.to_ascii_lowercase();
        if !lower.starts_with("http://") && !lower.starts_with("https://") {
            return Err(TargetUrlError::Scheme);
        }
        let authority_text = text.split('/').nth(2).unwrap_or_default();
        if authority_text.contains('@') {
            return Err(TargetUrlError::UserInfo);
        }
        if authority_text.is_empty() || authority_text.starts_with(':') {
            return Err(TargetUrlError::Host);
        }
        let uri: Uri = text.parse().map_err(|_| TargetUrlError::Syntax)?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.ok_or(TargetUrlError::Scheme)?;
        let authority = parts.authority.ok_or(TargetUrlError::Host)?;
        let has_port_mark = authority
            .as_str()
            .rsplit(']')
            .next()
            .is_some_and(|tail| tail.contains(':'));
        if has_port_mark && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(TargetUrlError::Port);
        }
        let prefix = parts.path_and_query.map_or_else(String::new, |path| {
            path.path().trim_end_matches('/').to_owned()
        });
        Ok(Self {
            scheme,
            authority,
            prefix,
        })
    }

    /// Tells whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Returns the host without port.
    pub fn host(&self) -> &str {
        self.authority.host()
    }

    /// Returns the port, by the scheme where the address has none.
    pub fn port(&self) -> u16 {
        self.authority
            .port_u16()
            .unwrap_or_else(|| if self.is_https() { 443 } else { 80 })
    }

    /// Returns what the `Host` header says.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// Returns the path prefix: empty, or with a slash in front and none at its end.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the address to connect to.
    pub(crate) fn connect_uri(&self) -> Result<Uri, http::Error> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query("/")
            .build()
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://mac.local:11434", "mac.local", 11434, "")]
    #[case("https://mac.local", "mac.local", 443, "")]
    #[case("HTTP://mac.local/", "mac.local", 80, "")]
    #[case(" https://mac.local/ollama/ ", "mac.local", 443, "/ollama")]
    #[case("http://[::1]:11434/a/b", "[::1]", 11434, "/a/b")]
    fn an_address_has_host_port_and_prefix(
        #[case] text: &str,
        #[case] host: &str,
        #[case] port: u16,
        #[case] prefix: &str,
    ) {
        let url = TargetUrl::parse(text).unwrap();

        assert_eq!((url.host(), url.port(), url.prefix()), (host, port, prefix));
    }

    #[rstest]
    #[case("mac.local:11434", TargetUrlError::Scheme)]
    #[case("ftp://mac.local", TargetUrlError::Scheme)]
    #[case("http://me:pw@mac.local", TargetUrlError::UserInfo)]
    #[case("http://", TargetUrlError::Host)]
    #[case("http://:11434", TargetUrlError::Host)]
    #[case("http://mac.local:0", TargetUrlError::Port)]
    #[case("http://mac.local:", TargetUrlError::Port)]
    #[case("http://mac.local/?a=1", TargetUrlError::QueryOrFragment)]
    #[case("http://mac.local/#x", TargetUrlError::QueryOrFragment)]
    #[case("http://mac local", TargetUrlError::Syntax)]
    fn a_bad_address_says_what_is_wrong(#[case] text: &str, #[case] error: TargetUrlError) {
        assert_eq!(TargetUrl::parse(text), Err(error));
    }

    #[test]
    fn a_password_is_answered_with_a_hint_and_not_repeated() {
        let message = TargetUrl::parse("http://me:hunter2@mac")
            .unwrap_err()
            .to_string();

        assert!(message.contains("token") && !message.contains("hunter2"));
    }
}
