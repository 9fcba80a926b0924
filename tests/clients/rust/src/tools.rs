//! Tool calls and structured output.

use ollama_rs::{
    Ollama,
    generation::{
        chat::{ChatMessage, ChatMessageResponse},
        parameters::{FormatType, JsonSchema, JsonStructure},
        tools::{Tool, ToolCall, ToolInfo},
    },
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    Outcome, Problem, Report,
    checks::{request, streamed, texts},
    expect::{CHAT_MODEL, WORDS, expect, expect_echo},
};

/// The first tool offered is called with these arguments.
const CALLS_TOOL: &str = r#"stub:toolcall={"city":"Paris"} what is the weather"#;

#[derive(Deserialize, JsonSchema)]
struct Place {
    /// The name of the city
    city: String,
}

struct Weather;

impl Tool for Weather {
    type Params = Place;

    fn name() -> &'static str {
        "weather"
    }

    fn description() -> &'static str {
        "Tells the weather in a city"
    }

    async fn call(&mut self, place: Place) -> ollama_rs::generation::tools::Result<String> {
        Ok(format!("sunny in {}", place.city))
    }
}

/// What the models of the second target answer with, whatever they are asked.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
struct City {
    city: String,
    people: u32,
}

pub async fn run(report: &mut Report, ollama: &Ollama, json_url: Option<&str>) {
    report.check("tool call", tool_call(ollama)).await;
    let structured = structured_output(json_url);
    report.check("structured output", structured).await;
}

fn called<'a>(pieces: impl IntoIterator<Item = &'a ChatMessageResponse>) -> Result<Place, Problem> {
    let calls: Vec<&ToolCall> = pieces
        .into_iter()
        .flat_map(|piece| &piece.message.tool_calls)
        .collect();
    let [call] = calls[..] else {
        return Err(Problem::Failed(format!("{} tool calls", calls.len())));
    };
    let message = format!("called {:?}", call.function);
    let expected = json!({"city": "Paris"});
    let function = &call.function;
    expect(
        function.name == Weather::name() && function.arguments == expected,
        message,
    )?;
    Ok(serde_json::from_value(function.arguments.clone())?)
}

async fn tool_call(ollama: &Ollama) -> Outcome {
    let asked = request(CHAT_MODEL, CALLS_TOOL).tools(vec![ToolInfo::new::<_, Weather>()]);
    let reply = ollama.send_chat_messages(asked.clone()).await?;
    let place = called([&reply])?;
    called(&streamed(ollama, asked.clone()).await?)?;

    let result = Weather.call(place).await;
    let result = result.map_err(|error| Problem::Failed(error.to_string()))?;
    let mut again = asked;
    again.messages.extend([
        reply.message,
        ChatMessage::tool(result),
        ChatMessage::user(WORDS.to_owned()),
    ]);
    let answer = ollama.send_chat_messages(again).await?;
    expect_echo(&answer.message.content, WORDS)
}

async fn structured_output(json_url: Option<&str>) -> Outcome {
    let Some(url) = json_url else {
        let reason = "no target that answers JSON".to_owned();
        return Err(Problem::Skipped(reason));
    };
    let ollama = Ollama::try_new(url)?;
    let schema = FormatType::StructuredJson(Box::new(JsonStructure::new::<City>()));
    for format in [FormatType::Json, schema] {
        let asked = request(CHAT_MODEL, WORDS).format(format);
        let reply = ollama.send_chat_messages(asked.clone()).await?;
        expect_city(&reply.message.content)?;
        expect_city(&texts(&streamed(&ollama, asked).await?).concat())?;
    }
    Ok(())
}

fn expect_city(answer: &str) -> Outcome {
    let found: City = serde_json::from_str(answer)?;
    let expected = City {
        city: "Paris".to_owned(),
        people: 2,
    };
    expect(found == expected, format!("answered {found:?}"))
}
