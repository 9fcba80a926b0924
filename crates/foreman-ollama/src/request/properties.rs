//! Properties of the scanner, with another reader of JSON as the judge.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::json::Json;
use super::*;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e10..1e10_f64).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(".{0,8}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Changes the case of some letters.
fn shuffle_case(key: &str, upper: u16) -> String {
    let cased = key.char_indices().map(|(at, c)| {
        if upper >> (at % 16) & 1 == 1 {
            c.to_ascii_uppercase()
        } else {
            c
        }
    });
    cased.collect()
}

proptest! {
    #[test]
    fn any_json_object_is_read_like_serde_reads_it(
        others in prop::collection::hash_map("x.{0,8}", any_json(), 0..6),
        model in "[a-zA-Z0-9_]{1,12}",
        stream in any::<Option<bool>>(),
        num_ctx in any::<Option<u16>>(),
        upper in any::<u16>(),
        pretty in any::<bool>(),
    ) {
        let mut object: Map<String, Value> = others.into_iter().collect();
        object.insert(shuffle_case("model", upper), json!(model));
        object.insert(shuffle_case("stream", upper), json!(stream));
        object.insert(shuffle_case("options", upper), json!({ "num_ctx": num_ctx }));
        let body = if pretty {
            serde_json::to_vec_pretty(&object).unwrap()
        } else {
            serde_json::to_vec(&object).unwrap()
        };

        let head = scan(Api::Generate, &body).unwrap();

        prop_assert_eq!(head.model, model);
        prop_assert_eq!(head.stream, stream.unwrap_or(true));
        prop_assert_eq!(head.load_options.num_ctx, num_ctx.map(i64::from));
        prop_assert_eq!(head.object_end, body.len() - 1);
    }

    #[test]
    fn what_is_json_to_serde_is_json_here_and_the_other_way_round(
        value in any_json(),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"{}[]\",:\\0123456789-+.eEtrufalsn \n\x00x".to_vec()),
    ) {
        let mut text = format!("{{\"v\":{value}}}").into_bytes();
        // The brace in front stays: a scalar there may be followed by anything in Go.
        let at = 1 + at.index(text.len() - 1);
        text[at] = byte;

        let here = Json::new(&text).value().map(|value| value.raw.len());
        let mut there = serde_json::Deserializer::from_slice(&text).into_iter::<serde::de::IgnoredAny>();
        let theirs = there.next().unwrap().map(|_| there.byte_offset());

        // Both stop at the first value; where it ends is where both must be.
        prop_assert_eq!(here.ok(), theirs.ok(), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn texts_are_read_like_serde_reads_them(text in any::<String>(), escaped in any::<bool>()) {
        let mut written = serde_json::to_string(&text).unwrap();
        if escaped {
            written = String::from("\"");
            for unit in text.encode_utf16() {
                write!(written, "\\u{unit:04x}").unwrap();
            }
            written.push('"');
        }

        let value = Json::new(written.as_bytes()).value().unwrap();

        prop_assert_eq!(value.text(), text);
    }

    #[test]
    fn no_form_makes_the_scanner_fail_otherwise(
        pieces in prop::collection::vec(
            prop::sample::select(vec!["--b", "--", "\r\n", "\n", " ", "Content-Disposition: form-data; name=model", "\"", "; filename=a", "\r\n\r\n", "x"]),
            0..24,
        ),
    ) {
        drop(scan_form(Some("multipart/form-data; boundary=b"), pieces.concat().as_bytes()));
    }

    #[test]
    fn no_bytes_make_the_scanner_fail_otherwise(body in prop::collection::vec(any::<u8>(), 0..64)) {
        for api in Api::ALL {
            drop(scan(api, &body));
        }
    }
}
