"""Checks with LangChain's Ollama package."""

import asyncio
import sys

import ollama
from harness import (
    CALLS_TOOL,
    CHAT_MODEL,
    CONCURRENT,
    EMBED_MODEL,
    ENDLESS,
    JSON_ANSWER,
    JSON_SCHEMA,
    MISSING_MODEL,
    PATIENCE_SECONDS,
    WEATHER_TOOL,
    WORDS,
    expect,
    expect_echo,
    expect_error,
    expect_one,
    expect_own_answers,
    expect_pieces,
    expect_tool_call,
    expect_vectors,
    json_url,
    run,
)
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM

URL = sys.argv[1]
SETTINGS = {"base_url": URL, "client_kwargs": {"timeout": PATIENCE_SECONDS}}
chat_model = ChatOllama(model=CHAT_MODEL, **SETTINGS)


def validate():
    ChatOllama(model=CHAT_MODEL, validate_model_on_init=True, **SETTINGS)


def invoke():
    reply = chat_model.invoke(WORDS)
    expect_echo(reply.content, WORDS)
    expect(reply.usage_metadata["output_tokens"] > 0, f"usage {reply.usage_metadata}")
    expect(reply.response_metadata["done"], f"not a final answer: {reply.response_metadata}")


def stream():
    pieces = [part.content for part in chat_model.stream(WORDS)]
    expect_pieces(pieces, chat_model.invoke(WORDS).content)


def completion():
    expect_echo(OllamaLLM(model=CHAT_MODEL, **SETTINGS).invoke(WORDS), WORDS)


def tool_call():
    caller = chat_model.bind_tools([WEATHER_TOOL])
    messages = [HumanMessage(CALLS_TOOL)]
    reply = caller.invoke(messages)
    call = expect_one(reply.tool_calls, "tool calls")
    expect_tool_call(call["name"], call["args"])
    messages += [reply, ToolMessage("sunny", tool_call_id=call["id"]), HumanMessage(WORDS)]
    expect_echo(caller.invoke(messages).content, WORDS)


def structured_output():
    json_model = ChatOllama(model=CHAT_MODEL, **{**SETTINGS, "base_url": json_url()})
    schema = {"title": "City", "description": "A city", **JSON_SCHEMA}
    for method in ["json_schema", "json_mode"]:
        answer = json_model.with_structured_output(schema, method=method).invoke(WORDS)
        expect(answer == JSON_ANSWER, f"{method} gave {answer}")


def embeddings():
    embedder = OllamaEmbeddings(model=EMBED_MODEL, **SETTINGS)
    expect_vectors(embedder.embed_documents(["one", "two", "one"]))


def unknown_model():
    missing = ChatOllama(model=MISSING_MODEL, **SETTINGS)
    expect_error(ollama.ResponseError, lambda: missing.invoke(WORDS))


def concurrent_chats():
    def everyone(prompts):
        limits = {"max_concurrency": CONCURRENT}
        return [reply.content for reply in asyncio.run(chat_model.abatch(prompts, limits))]

    expect_own_answers(everyone)


def cancel_in_mid_stream():
    parts = chat_model.stream(ENDLESS)
    next(parts)
    next(parts)
    parts.close()
    expect_echo(chat_model.invoke(WORDS).content, WORDS)


run(
    "langchain-ollama",
    "langchain-ollama",
    [
        ("model is validated on init", validate),
        ("invoke", invoke),
        ("stream", stream),
        ("completion", completion),
        ("tool call", tool_call),
        ("structured output", structured_output),
        ("embeddings", embeddings),
        ("unknown model is a ResponseError 404", unknown_model),
        ("20 concurrent chats get their own answers", concurrent_chats),
        ("cancel in mid-stream, then invoke", cancel_in_mid_stream),
    ],
)
