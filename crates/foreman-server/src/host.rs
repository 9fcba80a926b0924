//! The check against DNS rebinding, by Ollama's rules.

use std::net::IpAddr;

/// Decides by `Host` whether a request may come in.
///
/// A listener that only this machine reaches must not be reached by a web page under a name that
/// its owner points at this machine.
#[derive(Debug)]
pub(crate) struct HostCheck {
    loopback: bool,
    hostname: Option<String>,
}

/// What the name that a request came to says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostVerdict {
    /// It comes in.
    Pass,
    /// It comes in; a question for options is answered at once.
    PassByName,
    /// It does not.
    Refuse,
}

impl HostCheck {
    pub(crate) fn new(listener: IpAddr, hostname: Option<&str>) -> Self {
        Self {
            loopback: listener.to_canonical().is_loopback(),
            hostname: hostname.map(str::to_ascii_lowercase),
        }
    }

    pub(crate) fn judge(&self, host: &str) -> HostVerdict {
        if !self.loopback {
            return HostVerdict::Pass;
        }
        let name = without_port(host);
        if let Ok(address) = name.parse::<IpAddr>() {
            return if is_near(address.to_canonical()) {
                HostVerdict::Pass
            } else {
                HostVerdict::Refuse
            };
        }
        if self.is_local_name(name) {
            HostVerdict::PassByName
        } else {
            HostVerdict::Refuse
        }
    }

    fn is_local_name(&self, name: &str) -> bool {
        name.is_empty()
            || name.eq_ignore_ascii_case("localhost")
            || (self.hostname.as_ref()).is_some_and(|own| name.eq_ignore_ascii_case(own))
            || [".localhost", ".local", ".internal"]
                .iter()
                .any(|suffix| ends_with(name, suffix))
    }
}

/// Tells whether a name ends so, in small letters or capitals.
fn ends_with(name: &str, suffix: &str) -> bool {
    let start = name.len().checked_sub(suffix.len());
    let end = start.and_then(|start| name.get(start..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unspecified(),
    }
}

fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(address, _)| address);
    }
    match host.split_once(':') {
        // More colons: an address of the sixth version without brackets.
        Some((name, port)) if !port.contains(':') => name,
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("127.0.0.1:8080", HostVerdict::Pass)]
    #[case("[::1]:8080", HostVerdict::Pass)]
    #[case("192.168.1.20:8080", HostVerdict::Pass)]
    #[case("0.0.0.0", HostVerdict::Pass)]
    #[case("8.8.8.8:8080", HostVerdict::Refuse)]
    #[case("localhost:8080", HostVerdict::PassByName)]
    #[case("LOCALHOST", HostVerdict::PassByName)]
    #[case("", HostVerdict::PassByName)]
    #[case("workbench", HostVerdict::PassByName)]
    #[case("a.local", HostVerdict::PassByName)]
    #[case("host.docker.internal:8080", HostVerdict::PassByName)]
    #[case("evil.example", HostVerdict::Refuse)]
    #[case("local", HostVerdict::Refuse)]
    fn a_loopback_listener_checks_the_host(#[case] host: &str, #[case] expected: HostVerdict) {
        let check = HostCheck::new("127.0.0.1".parse().unwrap(), Some("Workbench"));

        assert_eq!(check.judge(host), expected);
    }

    #[test]
    fn a_listener_for_all_takes_every_host() {
        let check = HostCheck::new("0.0.0.0".parse().unwrap(), None);

        assert_eq!(check.judge("evil.example"), HostVerdict::Pass);
    }
}
