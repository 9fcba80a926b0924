//! What the target has in memory, as `/api/ps` tells it.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize};

/// Models that expire after this year stay until somebody unloads them.
const PINNED_AFTER_YEAR: i16 = 2200;

/// One loaded model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResidentModel {
    /// The name that loaded it.
    pub name: String,
    /// The same name again, as the target repeats it.
    #[serde(default)]
    pub model: String,
    /// Identifies what is behind the name.
    #[serde(default)]
    pub digest: String,
    /// When it is unloaded unless it is used; says nothing about whether it is busy.
    #[serde(default, deserialize_with = "lenient_time")]
    pub expires_at: Option<Timestamp>,
    /// Bytes in memory.
    #[serde(default)]
    pub size: u64,
    /// Bytes of it on the GPU.
    #[serde(default)]
    pub size_vram: u64,
    /// Size of its context window.
    #[serde(default)]
    pub context_length: u64,
}

impl ResidentModel {
    /// Tells whether the model stays loaded for ever: the target then names a far year.
    pub fn is_pinned(&self) -> bool {
        self.expires_at
            .is_some_and(|at| at.to_zoned(TimeZone::UTC).year() > PINNED_AFTER_YEAR)
    }
}

/// Reads the body of `/api/ps`.
pub(crate) fn parse(body: &[u8]) -> Result<Vec<ResidentModel>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Body {
        models: Option<Vec<ResidentModel>>,
    }
    let body: Body = serde_json::from_slice(body)?;
    Ok(body.models.unwrap_or_default())
}

/// Reads a time with any offset and up to nine digits of a second; an odd one is none.
fn lenient_time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn resident(expires_at: &str) -> ResidentModel {
        let body = format!(
            r#"{{"models":[{{"name":"a:latest","model":"a:latest","size":9,"digest":"d","details":{{}},
            "expires_at":"{expires_at}","size_vram":3,"context_length":4096}}]}}"#
        );
        parse(body.as_bytes()).unwrap().remove(0)
    }

    #[rstest]
    #[case("2319-03-03T01:40:23.443958988Z", true)]
    #[case("2318-12-31T23:59:59+14:00", true)]
    #[case("2026-11-21T01:58:06.537550874Z", false)]
    #[case("2026-11-21T03:58:06.5+02:00", false)]
    #[case("0001-01-01T00:00:00Z", false)]
    #[case("soon", false)]
    fn far_years_mean_pinned(#[case] expires_at: &str, #[case] pinned: bool) {
        assert_eq!(resident(expires_at).is_pinned(), pinned);
    }

    #[test]
    fn nine_digits_and_an_offset_are_kept() {
        let expected: Timestamp = "2026-11-21T01:58:06.537550874Z".parse().unwrap();

        let model = resident("2026-11-21T03:58:06.537550874+02:00");

        assert_eq!(model.expires_at, Some(expected));
        assert_eq!(
            (model.size, model.size_vram, model.context_length),
            (9, 3, 4096)
        );
    }

    #[test]
    fn no_models_is_an_empty_list() {
        assert_eq!(parse(br#"{"models":[]}"#).unwrap(), []);
        assert_eq!(parse(br#"{"models":null}"#).unwrap(), []);
        assert!(parse(b"<html>").is_err());
    }
}
