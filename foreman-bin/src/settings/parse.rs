//! Reads single values.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use foreman_ollama::{KeepAlive, Secret, TargetUrl, TargetUrlError};

use super::duration::{format_duration, parse_duration};
use super::error::InvalidValue;
use super::model::Interim;
use super::raw::Raw;
use super::size::ByteSize;
use crate::telemetry::{LOG_FILTER, LogFilter, LogFormat};

type Parsed<T> = Result<T, InvalidValue>;

pub(super) fn address(raw: &Raw) -> Parsed<SocketAddr> {
    let address = raw.text().and_then(|text| text.parse().ok());
    address.ok_or_else(|| {
        InvalidValue::expected("an IP address with a port, such as 127.0.0.1:8080 or [::]:8080")
    })
}

pub(super) fn switch(raw: &Raw) -> Parsed<bool> {
    match (raw, raw.text()) {
        (Raw::Switch(on), _) => Ok(*on),
        (_, Some("true" | "1")) => Ok(true),
        (_, Some("false" | "0")) => Ok(false),
        _ => Err(InvalidValue::expected("true or false")),
    }
}

pub(super) fn url(raw: &Raw) -> Parsed<TargetUrl> {
    let expected = "an http or https address, such as http://mac.local:11434";
    let text = raw.text().ok_or_else(|| InvalidValue::expected(expected))?;
    TargetUrl::parse(text).map_err(|error| {
        let reason = match error {
            TargetUrlError::UserInfo => {
                "address holds a user name or password; put a token into FOREMAN_OLLAMA_TOKEN"
                    .to_owned()
            }
            TargetUrlError::Scheme
            | TargetUrlError::Host
            | TargetUrlError::Port
            | TargetUrlError::QueryOrFragment
            | TargetUrlError::Syntax => error.to_string(),
        };
        let invalid = InvalidValue::expected(expected).because(reason);
        // A password may be before the `@`, a key in the query.
        if text.contains(['@', '?', '#']) {
            invalid.hidden()
        } else {
            invalid
        }
    })
}

pub(super) fn secret(raw: &Raw) -> Parsed<Secret> {
    let invalid = || InvalidValue::expected("a text of visible ASCII characters").hidden();
    let text = raw
        .text()
        .ok_or_else(|| invalid().because("it is no text (a text needs quotes)"))?;
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(invalid());
    }
    Ok(Secret::new(text))
}

pub(super) fn model(raw: &Raw) -> Parsed<String> {
    let name = raw.text().filter(|text| {
        let inside = |c: char| c.is_whitespace() || c.is_control();
        !text.is_empty() && !text.contains(inside)
    });
    name.map(str::to_owned)
        .ok_or_else(|| InvalidValue::expected("the name of a model, such as all-minilm"))
}

/// Relative paths start in `directory`.
pub(super) fn path(directory: &Path) -> impl Fn(&Raw) -> Parsed<PathBuf> {
    move |raw| {
        let text = raw.text().filter(|text| !text.is_empty());
        text.map(|text| directory.join(text))
            .ok_or_else(|| InvalidValue::expected("the path of a file"))
    }
}

pub(super) fn at_least(least: Duration) -> impl Fn(&Raw) -> Parsed<Duration> {
    move |raw| {
        let text = raw.scalar().unwrap_or_default();
        let duration = parse_duration(&text)?;
        if duration < least {
            let least = format_duration(least);
            return Err(InvalidValue::expected(format!("{least} or longer")));
        }
        Ok(duration)
    }
}

pub(super) fn duration(raw: &Raw) -> Parsed<Duration> {
    at_least(Duration::ZERO)(raw)
}

pub(super) fn whole<T: TryFrom<i128> + Copy + Into<i128>>(
    range: RangeInclusive<T>,
) -> impl Fn(&Raw) -> Parsed<T> {
    move |raw| {
        let (first, last): (i128, i128) = ((*range.start()).into(), (*range.end()).into());
        let number = raw.scalar().and_then(|text| text.parse::<i128>().ok());
        number
            .filter(|number| (first..=last).contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| InvalidValue::expected(format!("a whole number from {first} to {last}")))
    }
}

pub(super) fn size(raw: &Raw) -> Parsed<ByteSize> {
    let size: ByteSize = raw.scalar().unwrap_or_default().parse()?;
    if size.bytes() == 0 {
        return Err(InvalidValue::expected("1B or more"));
    }
    Ok(size)
}

pub(super) fn keep_alive(raw: &Raw) -> Parsed<KeepAlive> {
    let text = raw.scalar().unwrap_or_default();
    if text == "-1" || text.eq_ignore_ascii_case("forever") {
        return Ok(KeepAlive::Forever);
    }
    parse_duration(&text)
        .map(KeepAlive::For)
        .map_err(|_| InvalidValue::expected("a duration such as 30m, or -1 or forever"))
}

pub(super) fn interim(raw: &Raw) -> Parsed<Interim> {
    // Shorter intervals would be traffic without use: no client gives up that soon.
    let shortest = Duration::from_millis(50);
    match raw.text() {
        Some("auto") => Ok(Interim::Auto),
        Some("on") => Ok(Interim::On),
        Some("off") => Ok(Interim::Off),
        _ => at_least(shortest)(raw).map(Interim::Every).map_err(|_| {
            InvalidValue::expected("auto, on, off or an interval of 50ms or longer, such as 15s")
        }),
    }
}

pub(super) fn log_filter(raw: &Raw) -> Parsed<LogFilter> {
    let filter = raw.text().and_then(|text| text.parse().ok());
    filter.ok_or_else(|| InvalidValue::expected(LOG_FILTER))
}

pub(super) fn log_format(raw: &Raw) -> Parsed<LogFormat> {
    let all = [LogFormat::Auto, LogFormat::Human, LogFormat::Json];
    let found = all
        .into_iter()
        .find(|format| raw.text() == Some(format.as_str()));
    found.ok_or_else(|| InvalidValue::expected("auto, human or json"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn text(text: &str) -> Raw {
        Raw::Text(text.to_owned())
    }

    #[rstest]
    #[case(text("-1"), "Forever")]
    #[case(Raw::Whole(-1), "Forever")]
    #[case(text("forever"), "Forever")]
    #[case(text("30m"), "For(1800s)")]
    #[case(text("0"), "For(0ns)")]
    fn keep_alive_is_a_duration_or_for_ever(#[case] raw: Raw, #[case] shown: &str) {
        assert_eq!(format!("{:?}", keep_alive(&raw).unwrap()), shown);
    }

    #[rstest]
    #[case("auto", Some(Interim::Auto))]
    #[case("on", Some(Interim::On))]
    #[case("off", Some(Interim::Off))]
    #[case("15s", Some(Interim::Every(Duration::from_secs(15))))]
    #[case("0", None)]
    #[case("yes", None)]
    fn interim_is_a_word_or_an_interval(#[case] word: &str, #[case] interim_is: Option<Interim>) {
        assert_eq!(interim(&text(word)).ok(), interim_is);
    }

    #[rstest]
    #[case(Raw::Whole(1), Some(1))]
    #[case(text("9"), Some(9))]
    #[case(Raw::Whole(10), None)]
    #[case(Raw::Whole(0), None)]
    #[case(text("-3"), None)]
    #[case(Raw::Other("a number with a fraction"), None)]
    fn a_whole_number_is_within_its_range(#[case] raw: Raw, #[case] number: Option<u32>) {
        assert_eq!(whole(1_u32..=9)(&raw).ok(), number);
    }

    #[rstest]
    #[case(Raw::Switch(true), Some(true))]
    #[case(text("false"), Some(false))]
    #[case(text("maybe"), None)]
    #[case(Raw::Whole(1), None)]
    fn a_switch_is_true_or_false(#[case] raw: Raw, #[case] on: Option<bool>) {
        assert_eq!(switch(&raw).ok(), on);
    }

    #[test]
    fn a_number_in_place_of_a_secret_is_not_repeated() {
        let error = secret(&Raw::Whole(12_345_678)).unwrap_err();

        assert!(error.hides_value() && !error.to_string().contains("1234"));
    }

    #[rstest]
    #[case("http://me:pw@mac", true)]
    #[case("http://mac/?key=pw", true)]
    #[case("mac:11434", false)]
    fn an_address_that_may_hold_a_secret_is_not_repeated(
        #[case] address: &str,
        #[case] hidden: bool,
    ) {
        assert_eq!(url(&text(address)).unwrap_err().hides_value(), hidden);
    }
}
