//! The `options` object: its types, and the part that a runner is loaded with.

use crate::{
    gojson::{Node, Value},
    scheduler::LoadOptions,
};

/// Options of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// What the runner is loaded with.
    pub(crate) load: LoadOptions,
    /// The most tokens of the answer; below zero there is no limit.
    pub(crate) num_predict: Option<i64>,
}

/// Reads an `options` object; the error text is Ollama's.
pub(crate) fn options(node: Option<&Node>) -> Result<Options, String> {
    let mut into = Options::default();
    for (key, node) in node.map_or(&[][..], |node| node.value.pairs()) {
        if !node.value.is_null() {
            option(key, &node.value, &mut into)?;
        }
    }
    Ok(into)
}

/// Option names are matched exactly, unlike the fields of a request.
fn option(key: &str, value: &Value, into: &mut Options) -> Result<(), String> {
    let must = |what: &str| format!("option \"{key}\" must be of {what}");
    let load = &mut into.load;
    let integer = match key {
        "num_ctx" => &mut load.num_ctx,
        "num_batch" => &mut load.num_batch,
        "num_gpu" => &mut load.num_gpu,
        "main_gpu" => &mut load.main_gpu,
        "num_thread" => &mut load.num_thread,
        "draft_num_predict" => &mut load.draft_num_predict,
        "num_predict" => &mut into.num_predict,
        "num_keep" | "seed" | "top_k" | "repeat_last_n" => &mut None,
        "top_p" | "min_p" | "typical_p" | "temperature" | "repeat_penalty" | "presence_penalty"
        | "frequency_penalty" => {
            return match value {
                Value::Number(_) => Ok(()),
                Value::Null
                | Value::Bool(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_) => Err(must("type float32")),
            };
        }
        "use_mmap" => {
            let Value::Bool(value) = value else {
                return Err(must("type boolean"));
            };
            load.use_mmap = Some(*value);
            return Ok(());
        }
        "stop" => {
            let Value::Array(items) = value else {
                return Err(must("type array"));
            };
            let strings = items.iter().all(|item| item.value.text().is_some());
            return if strings {
                Ok(())
            } else {
                Err(must("an array of strings"))
            };
        }
        _ => return Ok(()),
    };
    let Value::Number(text) = value else {
        return Err(must("type integer"));
    };
    *integer = Some(truncated(text));
    Ok(())
}

/// The integer part of a number.
fn truncated(text: &str) -> i64 {
    if let Ok(number) = text.parse() {
        return number;
    }
    let number: f64 = text.parse().unwrap_or_default();
    format!("{:.0}", number.trunc())
        .parse()
        .unwrap_or(if number < 0.0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gojson::first_value;

    fn parsed(json: &str) -> Node {
        first_value(json.as_bytes()).unwrap()
    }

    #[test]
    fn wrong_types_are_named() {
        for (json, error) in [
            (
                r#"{"num_ctx":"x"}"#,
                r#"option "num_ctx" must be of type integer"#,
            ),
            (
                r#"{"temperature":"x"}"#,
                r#"option "temperature" must be of type float32"#,
            ),
            (r#"{"stop":"x"}"#, r#"option "stop" must be of type array"#),
            (
                r#"{"stop":[1]}"#,
                r#"option "stop" must be of an array of strings"#,
            ),
            (
                r#"{"use_mmap":1}"#,
                r#"option "use_mmap" must be of type boolean"#,
            ),
        ] {
            assert_eq!(options(Some(&parsed(json))), Err(error.to_owned()));
        }
    }

    #[test]
    fn numbers_are_truncated_and_the_unknown_is_ignored() {
        let found = options(Some(&parsed(
            r#"{"num_ctx":2.7,"bogus":1,"num_gpu":null,"num_predict":-1}"#,
        )))
        .unwrap();

        assert_eq!(
            found.load,
            LoadOptions {
                num_ctx: Some(2),
                ..LoadOptions::default()
            }
        );
        assert_eq!(found.num_predict, Some(-1));
    }
}
