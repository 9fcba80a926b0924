//! The words of an answer, taken out of the form in which the target sends it.

use serde_json::Value;

/// Where words are, in the objects of the different APIs.
const PLACES: [&str; 7] = [
    "/message/content",
    "/response",
    "/choices/0/delta/content",
    "/choices/0/message/content",
    "/choices/0/text",
    "/delta/text",
    "/text",
];

/// Takes the words out of an answer, while it comes, whatever API it belongs to.
#[derive(Debug, Default)]
pub(crate) struct AnswerText {
    partial: Vec<u8>,
}

impl AnswerText {
    /// Takes a piece of the answer and gives the words that are complete with it.
    pub(crate) fn push(&mut self, piece: &[u8]) -> String {
        self.partial.extend_from_slice(piece);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else {
            return String::new();
        };
        let rest = self.partial.split_off(end.saturating_add(1));
        let lines = std::mem::replace(&mut self.partial, rest);
        lines.split(|byte| *byte == b'\n').map(words).collect()
    }

    /// Gives the words of what came without a line end.
    pub(crate) fn finish(&mut self) -> String {
        words(&std::mem::take(&mut self.partial))
    }
}

/// Returns the words of one line: an object, or an event with an object.
fn words(line: &[u8]) -> String {
    let line = line.trim_ascii();
    let line = line.strip_prefix(b"data:").unwrap_or(line);
    let Ok(value) = serde_json::from_slice::<Value>(line) else {
        return String::new();
    };
    if let Some(kind) = value.get("type").and_then(Value::as_str)
        && kind.starts_with("response.")
    {
        // Of these events one kind holds words, the others repeat them.
        return if kind == "response.output_text.delta" {
            text(&value, "/delta").unwrap_or_default()
        } else {
            String::new()
        };
    }
    let found = PLACES.iter().find_map(|place| text(&value, place));
    found.unwrap_or_else(|| parts(&value))
}

fn text(value: &Value, place: &str) -> Option<String> {
    value.pointer(place)?.as_str().map(str::to_owned)
}

/// Returns the words of an answer that is made of parts.
fn parts(value: &Value) -> String {
    let list = |value: &Value, key: &str| -> Vec<Value> {
        let items = value.get(key).and_then(Value::as_array);
        items.cloned().unwrap_or_default()
    };
    let mut content = list(value, "content");
    for item in list(value, "output") {
        content.extend(list(&item, "content"));
    }
    let words = content.iter().filter_map(|part| text(part, "/text"));
    words.collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::chat(
        "{\"message\":{\"content\":\"a\"}}\n{\"message\":{\"content\":\"b\"},\"done\":true}\n"
    )]
    #[case::chat_whole("{\"message\":{\"content\":\"ab\"},\"done\":true}")]
    #[case::generate(
        "{\"response\":\"a\"}\n{\"response\":\"b\"}\n{\"response\":\"\",\"done\":true}\n"
    )]
    #[case::openai(
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\ndata: [DONE]\n\n"
    )]
    #[case::openai_whole("{\"choices\":[{\"message\":{\"content\":\"ab\"}}]}")]
    #[case::completion("data: {\"choices\":[{\"text\":\"ab\"}]}\n\n")]
    #[case::messages(
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"ab\"}}\n\n"
    )]
    #[case::messages_whole(
        "{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"ab\"}]}"
    )]
    #[case::responses(
        "data: {\"type\":\"response.output_text.delta\",\"delta\":\"ab\"}\n\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"content\":[{\"text\":\"ab\"}]}]}}\n\n"
    )]
    #[case::responses_whole(
        "{\"object\":\"response\",\"output\":[{\"content\":[{\"type\":\"output_text\",\"text\":\"ab\"}]}]}"
    )]
    fn the_words_of_every_api_are_found_however_it_is_cut(#[case] answer: &str) {
        for cut in 0..answer.len() {
            let (head, tail) = answer.as_bytes().split_at(cut);
            let mut text = AnswerText::default();

            let all = [text.push(head), text.push(tail), text.finish()].concat();

            assert_eq!(all, "ab", "cut at {cut}");
        }
    }
}
