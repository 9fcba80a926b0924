//! Many submissions in one body.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::ApiError;
use crate::fault::Fault;

/// Returns the elements of a JSON array, each as it was written.
///
/// It stops at one too many: a body of a few megabytes can have a million of them.
pub(super) fn array(body: &Bytes, most: usize) -> Result<Vec<Bytes>, ApiError> {
    let mut elements = Vec::new();
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut reading = Elements {
        body,
        most,
        found: &mut elements,
    };
    let read = DeserializeSeed::deserialize(&mut reading, &mut json);
    let read = read.and_then(|()| json.end());
    if elements.len() > most {
        return Err(too_many(most));
    }
    read.map_err(|_| ApiError::new(Fault::BadRequest, "expected a JSON array of objects"))?;
    Ok(elements)
}

/// Returns the lines of a body that have something.
pub(super) fn lines(body: &Bytes, most: usize) -> Result<Vec<Bytes>, ApiError> {
    let lines = body
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .take(most.saturating_add(1));
    let lines: Vec<Bytes> = lines.map(|line| body.slice_ref(line)).collect();
    if lines.len() > most {
        return Err(too_many(most));
    }
    Ok(lines)
}

fn too_many(most: usize) -> ApiError {
    let message = format!("more than {most} jobs in one request");
    ApiError::new(Fault::BodyTooLarge, message)
}

/// Takes the elements of an array up to one too many.
struct Elements<'a> {
    body: &'a Bytes,
    most: usize,
    found: &'a mut Vec<Bytes>,
}

impl<'de> DeserializeSeed<'de> for &mut Elements<'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Elements<'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while self.found.len() <= self.most
            && let Some(element) = seq.next_element::<&'de RawValue>()?
        {
            let element = self.body.slice_ref(element.get().as_bytes());
            self.found.push(element);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    type Read = fn(&Bytes, usize) -> Result<Vec<Bytes>, ApiError>;

    #[rstest]
    #[case(array, " [ {\"a\":1}, 2,{} ] ")]
    #[case(lines, "\n {\"a\":1}\r\n\n2\n{}")]
    fn each_is_read_as_it_was_written_up_to_a_number(#[case] read: Read, #[case] body: &str) {
        let body = Bytes::copy_from_slice(body.as_bytes());

        let found = read(&body, 3).unwrap();
        let refused = read(&body, 2).unwrap_err();

        assert_eq!(found, ["{\"a\":1}", "2", "{}"]);
        assert_eq!(refused.status(), 413);
    }

    #[test]
    fn nothing_is_read_after_one_too_many() {
        let body = Bytes::from_static(b"[1,2,3,4,5]");
        let mut found = Vec::new();
        let mut reading = Elements {
            body: &body,
            most: 2,
            found: &mut found,
        };

        let mut json = serde_json::Deserializer::from_slice(&body);
        let read = DeserializeSeed::deserialize(&mut reading, &mut json);

        // What is left over is an error for whoever asked to read all.
        assert!(read.is_err());
        assert_eq!(found, ["1", "2", "3"]);
    }

    #[rstest]
    #[case("[1,")]
    #[case("[1,]")]
    #[case("[1] 2")]
    #[case("[1 2]")]
    #[case("{}")]
    fn what_is_no_array_is_refused(#[case] body: &'static str) {
        let refused = array(&Bytes::from_static(body.as_bytes()), 9).unwrap_err();

        assert_eq!(refused.status(), 400);
    }
}
