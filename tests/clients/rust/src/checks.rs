//! Chats, completions, models, embeddings, errors, many callers, cancelling.

use ollama_rs::{
    Ollama,
    error::OllamaError,
    generation::{
        chat::{ChatMessage, ChatMessageResponse, request::ChatMessageRequest},
        completion::request::GenerationRequest,
        embeddings::request::GenerateEmbeddingsRequest,
    },
};
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;

use crate::{
    Outcome, Problem, Report,
    expect::{
        ALL_MODELS, CHAT_MODEL, EMBED_MODEL, ENDLESS, MISSING_MODEL, WORDS, expect, expect_echo,
        expect_not_found, expect_pieces,
    },
};

const CONCURRENT: usize = 20;

pub async fn run(report: &mut Report, ollama: &Ollama) {
    report.check("chat", chat(ollama)).await;
    report.check("chat streamed", chat_streamed(ollama)).await;
    report.check("generate", generate(ollama)).await;
    let streamed = generate_streamed(ollama);
    report.check("generate streamed", streamed).await;
    report.check("list models", list_models(ollama)).await;
    report.check("show", show(ollama)).await;
    report.check("embed", embed(ollama)).await;
    let unknown = unknown_model(ollama);
    report.check("unknown model is an error", unknown).await;
    let title = "20 concurrent chats get their own answers";
    report.check(title, concurrent_chats(ollama)).await;
    let cancelled = cancel_in_mid_stream(ollama);
    let title = "cancel in mid-stream, then chat";
    report.check(title, cancelled).await;
}

/// Makes the request of a conversation of one message.
pub fn request(model: &str, text: &str) -> ChatMessageRequest {
    let messages = vec![ChatMessage::user(text.to_owned())];
    ChatMessageRequest::new(model.to_owned(), messages)
}

/// Asks without streaming.
pub async fn ask(ollama: &Ollama, text: &str) -> Result<String, OllamaError> {
    let reply = ollama.send_chat_messages(request(CHAT_MODEL, text)).await?;
    Ok(reply.message.content)
}

/// Sends a request and returns the pieces of its streamed answer.
pub async fn streamed(
    ollama: &Ollama,
    request: ChatMessageRequest,
) -> Result<Vec<ChatMessageResponse>, Problem> {
    let mut stream = ollama.send_chat_messages_stream(request).await?;
    let mut pieces = Vec::new();
    while let Some(piece) = stream.next().await {
        pieces.push(piece.map_err(|()| Problem::Failed("the stream broke".to_owned()))?);
    }
    Ok(pieces)
}

/// Returns the text of each piece.
pub fn texts(pieces: &[ChatMessageResponse]) -> Vec<String> {
    let texts = pieces.iter().map(|piece| piece.message.content.clone());
    texts.collect()
}

async fn chat(ollama: &Ollama) -> Outcome {
    let reply = ollama
        .send_chat_messages(request(CHAT_MODEL, WORDS))
        .await?;
    expect_echo(&reply.message.content, WORDS)?;
    let counted = reply.final_data.is_some_and(|data| data.eval_count > 0);
    expect(reply.done && counted, "not a final answer")
}

async fn chat_streamed(ollama: &Ollama) -> Outcome {
    let pieces = streamed(ollama, request(CHAT_MODEL, WORDS)).await?;
    expect_pieces(&texts(&pieces), &ask(ollama, WORDS).await?)?;
    let first_final = pieces.iter().position(|piece| piece.done);
    let last = pieces.len() - 1;
    expect(first_final == Some(last), "not one final piece at the end")
}

fn prompt(model: &str) -> GenerationRequest<'static> {
    GenerationRequest::new(model.to_owned(), WORDS)
}

async fn generate(ollama: &Ollama) -> Outcome {
    let reply = ollama.generate(prompt(CHAT_MODEL)).await?;
    expect_echo(&reply.response, WORDS)?;
    expect(reply.done, "not a final answer")
}

async fn generate_streamed(ollama: &Ollama) -> Outcome {
    let whole = ollama.generate(prompt(CHAT_MODEL)).await?.response;
    let mut stream = ollama.generate_stream(prompt(CHAT_MODEL)).await?;
    let mut pieces = Vec::new();
    while let Some(chunk) = stream.next().await {
        pieces.extend(chunk?);
    }
    let texts: Vec<_> = pieces.iter().map(|piece| piece.response.clone()).collect();
    expect_pieces(&texts, &whole)?;
    let done = pieces.last().is_some_and(|piece| piece.done);
    expect(done, "the last piece is not the final one")
}

async fn list_models(ollama: &Ollama) -> Outcome {
    let models = ollama.list_local_models().await?;
    let names: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
    let all = ALL_MODELS.iter().all(|name| names.contains(name));
    expect(all, format!("models {names:?}"))?;
    let filled = models
        .iter()
        .all(|model| model.size > 0 && !model.modified_at.is_empty());
    expect(filled, "blank rows")
}

async fn show(ollama: &Ollama) -> Outcome {
    let model = ollama.show_model_info(CHAT_MODEL.to_owned()).await?;
    let completes = model.capabilities.iter().any(|it| it == "completion");
    expect(completes, format!("capabilities {:?}", model.capabilities))?;
    let mut keys = model.model_info.keys();
    let known = keys.any(|key| key.ends_with(".context_length"));
    expect(known, "no context length")
}

async fn embed(ollama: &Ollama) -> Outcome {
    let texts = vec!["one", "two", "one"].into();
    let request = GenerateEmbeddingsRequest::new(EMBED_MODEL.to_owned(), texts);
    let vectors = ollama.generate_embeddings(request).await?.embeddings;
    let [one, two, again] = &vectors[..] else {
        let message = format!("{} vectors for 3 texts", vectors.len());
        return Err(Problem::Failed(message));
    };
    expect(!one.is_empty() && one.len() == two.len(), "unlike sizes")?;
    let follow = one == again && one != two;
    expect(follow, "the vectors do not follow the texts")
}

async fn unknown_model(ollama: &Ollama) -> Outcome {
    let missing = || request(MISSING_MODEL, WORDS);
    expect_not_found(ollama.send_chat_messages(missing()).await)?;
    expect_not_found(ollama.send_chat_messages_stream(missing()).await)?;
    expect_not_found(ollama.generate(prompt(MISSING_MODEL)).await)?;
    expect_not_found(ollama.show_model_info(MISSING_MODEL.to_owned()).await)
}

async fn concurrent_chats(ollama: &Ollama) -> Outcome {
    let mut callers = JoinSet::new();
    for number in 0..CONCURRENT {
        let ollama = ollama.clone();
        callers.spawn(async move {
            let prompt = format!("caller{number:02} speaks");
            let answer = if number % 2 == 0 {
                ask(&ollama, &prompt).await?
            } else {
                texts(&streamed(&ollama, request(CHAT_MODEL, &prompt)).await?).concat()
            };
            expect_echo(&answer, &prompt)?;
            let alone = answer.matches("caller").count() == 1;
            expect(alone, format!("other callers' words in {answer:?}"))
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    Ok(())
}

async fn cancel_in_mid_stream(ollama: &Ollama) -> Outcome {
    let mut stream = ollama
        .send_chat_messages_stream(request(CHAT_MODEL, ENDLESS))
        .await?;
    for _ in 0..2 {
        let piece = stream.next().await;
        expect(matches!(piece, Some(Ok(_))), "no piece")?;
    }
    drop(stream);
    expect_echo(&ask(ollama, WORDS).await?, WORDS)
}
