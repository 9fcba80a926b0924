"""Checks with Anthropic's Python client."""

import asyncio
import sys

import anthropic
from harness import (
    CALLS_TOOL,
    CHAT_MODEL,
    ENDLESS,
    MISSING_MODEL,
    PATIENCE_SECONDS,
    WEATHER_SCHEMA,
    WORDS,
    expect,
    expect_echo,
    expect_error,
    expect_one,
    expect_own_answers,
    expect_pieces,
    expect_tool_call,
    run,
    user,
)

# Retries would hide failures.
SETTINGS = {
    "base_url": sys.argv[1],
    "api_key": "none",
    "max_retries": 0,
    "timeout": PATIENCE_SECONDS,
}
client = anthropic.Anthropic(**SETTINGS)


def request(text, model=CHAT_MODEL):
    return {"model": model, "max_tokens": 1024, "messages": user(text)}


def ask(text):
    return client.messages.create(**request(text)).content[0].text


def message():
    reply = client.messages.create(**request(WORDS))
    expect_echo(reply.content[0].text, WORDS)
    expect(reply.stop_reason == "end_turn", f"ended by {reply.stop_reason}")
    expect(reply.usage.output_tokens > 0, f"usage {reply.usage}")


def message_streamed():
    with client.messages.stream(**request(WORDS)) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    expect_pieces(pieces, ask(WORDS))
    expect(final.stop_reason == "end_turn", f"ended by {final.stop_reason}")


def tool_call():
    tool = {"name": "weather", "description": "Tells the weather", "input_schema": WEATHER_SCHEMA}

    def called(reply):
        expect(reply.stop_reason == "tool_use", f"ended by {reply.stop_reason}")
        call = expect_one((part for part in reply.content if part.type == "tool_use"), "tool calls")
        expect_tool_call(call.name, call.input)
        return call

    asked = {**request(CALLS_TOOL), "tools": [tool]}
    reply = client.messages.create(**asked)
    call = called(reply)
    with client.messages.stream(**asked) as stream:
        called(stream.get_final_message())

    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    answer = {"role": "user", "content": [result, {"type": "text", "text": WORDS}]}
    asked["messages"] += [{"role": "assistant", "content": reply.content}, answer]
    expect_echo(client.messages.create(**asked).content[0].text, WORDS)


def unknown_model():
    missing = request(WORDS, MISSING_MODEL)
    error = expect_error(anthropic.NotFoundError, lambda: client.messages.create(**missing))
    expect(error.body["error"]["type"] == "not_found_error", f"said {error.body}")
    expect_error(anthropic.NotFoundError, lambda: list(client.messages.create(**missing, stream=True)))


def concurrent_messages():
    async def one(async_client, text):
        reply = await async_client.messages.create(**request(text))
        return reply.content[0].text

    async def everyone(prompts):
        async with anthropic.AsyncAnthropic(**SETTINGS) as async_client:
            return await asyncio.gather(*(one(async_client, text) for text in prompts))

    expect_own_answers(lambda prompts: asyncio.run(everyone(prompts)))


def cancel_in_mid_stream():
    with client.messages.stream(**request(ENDLESS)) as stream:
        next(iter(stream.text_stream))
    expect_echo(ask(WORDS), WORDS)


run(
    "anthropic-python",
    "anthropic",
    [
        ("message", message),
        ("message streamed", message_streamed),
        ("tool call", tool_call),
        ("unknown model is a NotFoundError", unknown_model),
        ("20 concurrent messages get their own answers", concurrent_messages),
        ("cancel in mid-stream, then message", cancel_in_mid_stream),
    ],
)
