//! Sizes as people write them: `256MiB`, `1GB`, `4096`.

use std::fmt;
use std::str::FromStr;

use super::error::InvalidValue;

/// Units with their factors; where two divide a size, the larger is written.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// Makes a size of so many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Returns the number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = || InvalidValue::expected("a size such as 256MiB, 1GB or a number of bytes");
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
        let number: u64 = number.parse().map_err(|_| invalid())?;
        let unit = unit.trim_start();
        let factor = if unit.is_empty() {
            1
        } else {
            UNITS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(unit))
                .map(|(_, factor)| *factor)
                .ok_or_else(invalid)?
        };
        let bytes = number.checked_mul(factor);
        bytes
            .map(Self)
            .ok_or_else(|| invalid().because("it is too large"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fitting = UNITS
            .iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match fitting {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("256MiB", 268_435_456, "256MiB")]
    #[case("1GB", 1_000_000_000, "1GB")]
    #[case("64 kb", 64_000, "64kB")]
    #[case("1024", 1024, "1KiB")]
    #[case("1000b", 1000, "1kB")]
    #[case("1025", 1025, "1025B")]
    #[case("0", 0, "0B")]
    fn a_size_is_read_and_written(#[case] text: &str, #[case] bytes: u64, #[case] written: &str) {
        let size: ByteSize = text.parse().unwrap();

        assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, written));
        assert_eq!(written.parse(), Ok(size));
    }

    #[rstest]
    #[case("")]
    #[case("MiB")]
    #[case("1.5GB")]
    #[case("-1")]
    #[case("256M")]
    #[case("18446744073709551616")]
    #[case("99999999TiB")]
    fn a_text_that_is_no_size_says_what_is_expected(#[case] text: &str) {
        let message = text.parse::<ByteSize>().unwrap_err().to_string();

        assert!(message.ends_with("expected a size such as 256MiB, 1GB or a number of bytes"));
    }
}
