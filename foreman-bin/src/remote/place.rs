//! Where the running foreman is, and as whom it is talked to.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::Args;
use foreman_ollama::Secret;

use crate::commands::CommandError;
use crate::settings::{Input, load};

/// The variable with the address of a running foreman; no setting of foreman itself.
const URL_VARIABLE: &str = "FOREMAN_URL";

/// The variable with the token to show to it; no setting of foreman itself.
const TOKEN_VARIABLE: &str = "FOREMAN_TOKEN";

/// Flags of every command that talks to a running foreman.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Running foreman")]
pub(crate) struct RemoteArgs {
    /// Address of the running foreman [default: `FOREMAN_URL`, else where the settings let it listen].
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// Token to show to it [default: `FOREMAN_TOKEN`, which does not show in the list of processes].
    #[arg(long, global = true, value_name = "TOKEN")]
    token: Option<Secret>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Where the running foreman is, and as whom it is talked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its address.
    pub(crate) url: String,
    /// Who gave the address.
    pub(crate) from: &'static str,
    /// The token.
    pub(crate) token: Option<Secret>,
}

impl Place {
    /// Finds it: flag, then variable, then the setting of the foreman on this machine.
    ///
    /// # Errors
    ///
    /// Wrong settings, where they are needed.
    pub(crate) fn find(args: &RemoteArgs, input: &Input) -> Result<Self, CommandError> {
        let token = args.token.clone();
        let token = token.or_else(|| variable(input, TOKEN_VARIABLE).map(Secret::new));
        let given = args.url.clone().map(|url| (url, "--url"));
        let given = given.or_else(|| Some((variable(input, URL_VARIABLE)?, URL_VARIABLE)));
        let (url, from) = match given {
            Some(given) => given,
            None => (listening(input)?, "FOREMAN_LISTEN"),
        };
        Ok(Self { url, from, token })
    }
}

fn variable(input: &Input, name: &str) -> Option<String> {
    let mut variables = input.variables.iter();
    let (_, value) = variables.find(|(it, _)| it == OsStr::new(name))?;
    let value = value.to_str()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// Returns the address at which the foreman of these settings is reached from its own machine.
fn listening(input: &Input) -> Result<String, CommandError> {
    let settings = load(input)
        .into_settings()
        .map_err(CommandError::Settings)?;
    Ok(format!("http://{}", from_here(settings.listen)))
}

fn from_here(listen: SocketAddr) -> SocketAddr {
    if !listen.ip().is_unspecified() {
        return listen;
    }
    let ip = match listen {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn find(url: Option<&str>, variables: &[(&str, &str)]) -> Place {
        let args = RemoteArgs {
            url: url.map(str::to_owned),
            token: None,
            json: false,
        };
        let home = [("HOME", "/home/ann")];
        let input = Input {
            variables: home
                .iter()
                .chain(variables)
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            directory: "/nowhere".into(),
            ..Input::default()
        };
        Place::find(&args, &input).unwrap()
    }

    #[test]
    fn the_flag_counts_more_than_the_variable_and_that_more_than_the_setting() {
        let url = ("FOREMAN_URL", "http://b:2");
        let listen = ("FOREMAN_LISTEN", "127.0.0.1:3");

        assert_eq!(find(Some("http://a:1"), &[url, listen]).url, "http://a:1");
        assert_eq!(find(None, &[url, listen]).url, "http://b:2");
        assert_eq!(find(None, &[listen]).url, "http://127.0.0.1:3");
        assert_eq!(find(None, &[]).url, "http://127.0.0.1:8080");
    }

    #[test]
    fn the_token_of_the_variable_is_never_printed() {
        let place = find(None, &[("FOREMAN_TOKEN", "open-sesame")]);

        assert_eq!(place.token.as_ref().unwrap().expose(), "open-sesame");
        assert!(!format!("{place:?}").contains("sesame"));
    }

    #[rstest]
    #[case("0.0.0.0:80", "127.0.0.1:80")]
    #[case("[::]:80", "[::1]:80")]
    #[case("10.0.0.1:80", "10.0.0.1:80")]
    fn an_address_for_everybody_is_reached_at_this_machine(
        #[case] listen: &str,
        #[case] url: &str,
    ) {
        assert_eq!(from_here(listen.parse().unwrap()).to_string(), url);
    }
}
