"""Checks with Ollama's own Python client, blocking and asynchronous."""

import asyncio
import json
import sys

import ollama
from harness import (
    ALL_MODELS,
    CALLS_TOOL,
    CHAT_MODEL,
    EMBED_MODEL,
    ENDLESS,
    JSON_ANSWER,
    JSON_SCHEMA,
    MISSING_MODEL,
    PATIENCE_SECONDS,
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
    user,
)

URL = sys.argv[1]
client = ollama.Client(URL, timeout=PATIENCE_SECONDS)


def ask(text):
    return client.chat(CHAT_MODEL, user(text)).message.content


def chat():
    reply = client.chat(CHAT_MODEL, user(WORDS))
    expect_echo(reply.message.content, WORDS)
    expect(reply.done and reply.eval_count > 0, f"not a final answer: {reply}")


def chat_streamed():
    parts = list(client.chat(CHAT_MODEL, user(WORDS), stream=True))
    expect_pieces([part.message.content for part in parts], ask(WORDS))
    expect(parts[-1].done, "the last piece is not the final one")
    expect(not any(part.done for part in parts[:-1]), "a final piece before the last one")


def generate():
    reply = client.generate(CHAT_MODEL, WORDS)
    expect_echo(reply.response, WORDS)
    expect(reply.done, "not a final answer")


def generate_streamed():
    parts = list(client.generate(CHAT_MODEL, WORDS, stream=True))
    expect_pieces([part.response for part in parts], client.generate(CHAT_MODEL, WORDS).response)
    expect(parts[-1].done, "the last piece is not the final one")


def weather(city: str) -> str:
    """Tells the weather in a city.

    Args:
        city: The name of the city
    """
    return f"sunny in {city}"


def tool_call():
    def called(messages):
        calls = [call for message in messages for call in message.tool_calls or []]
        return expect_one(calls, "tool calls").function

    messages = user(CALLS_TOOL)
    reply = client.chat(CHAT_MODEL, messages, tools=[weather])
    call = called([reply.message])
    expect_tool_call(call.name, call.arguments)
    parts = list(client.chat(CHAT_MODEL, messages, tools=[weather], stream=True))
    streamed = called([part.message for part in parts])
    expect_tool_call(streamed.name, streamed.arguments)

    result = {"role": "tool", "tool_name": call.name, "content": weather(**call.arguments)}
    messages = [*messages, reply.message, result, *user(WORDS)]
    expect_echo(client.chat(CHAT_MODEL, messages, tools=[weather]).message.content, WORDS)


def structured_output():
    json_client = ollama.Client(json_url(), timeout=PATIENCE_SECONDS)
    for form in ["json", JSON_SCHEMA]:
        reply = json_client.chat(CHAT_MODEL, user(WORDS), format=form)
        expect(json.loads(reply.message.content) == JSON_ANSWER, f"answered {reply.message.content!r}")
        parts = json_client.generate(CHAT_MODEL, WORDS, format=form, stream=True)
        answer = "".join(part.response for part in parts)
        expect(json.loads(answer) == JSON_ANSWER, f"streamed {answer!r}")


def load_only():
    reply = client.generate(CHAT_MODEL)
    expect(reply.done and reply.response == "", f"not the answer to a load: {reply}")


def list_models():
    models = client.list().models
    names = {model.model for model in models}
    expect(names >= ALL_MODELS, f"models {names}")
    expect(all(model.size and model.digest and model.modified_at for model in models), "blank rows")


def show():
    model = client.show(CHAT_MODEL)
    expect("completion" in model.capabilities, f"capabilities {model.capabilities}")
    lengths = [key for key in model.modelinfo if key.endswith(".context_length")]
    expect(len(lengths) == 1, f"context lengths {lengths}")


def ps():
    ask(WORDS)
    names = {model.model for model in client.ps().models}
    expect(CHAT_MODEL in names, f"running {names}")


def embed():
    reply = client.embed(EMBED_MODEL, ["one", "two", "one"])
    expect_vectors(reply.embeddings)


def embeddings_of_one_prompt():
    expect(len(client.embeddings(EMBED_MODEL, "one").embedding) > 0, "an empty vector")


def unknown_model():
    messages = user(WORDS)
    expect_error(ollama.ResponseError, lambda: client.chat(MISSING_MODEL, messages))
    expect_error(ollama.ResponseError, lambda: list(client.chat(MISSING_MODEL, messages, stream=True)))
    expect_error(ollama.ResponseError, lambda: client.generate(MISSING_MODEL, WORDS))
    error = expect_error(ollama.ResponseError, lambda: client.show(MISSING_MODEL))
    expect("not found" in error.error, f"said {error.error!r}")


def concurrent_chats():
    async def one(number, text):
        async_client = ollama.AsyncClient(URL, timeout=PATIENCE_SECONDS)
        if number % 2:
            return (await async_client.chat(CHAT_MODEL, user(text))).message.content
        parts = await async_client.chat(CHAT_MODEL, user(text), stream=True)
        return "".join([part.message.content async for part in parts])

    async def everyone(prompts):
        return await asyncio.gather(*(one(number, text) for number, text in enumerate(prompts)))

    expect_own_answers(lambda prompts: asyncio.run(everyone(prompts)))


def cancel_in_mid_stream():
    stream = client.chat(CHAT_MODEL, user(ENDLESS), stream=True)
    next(stream)
    next(stream)
    stream.close()
    expect_echo(ask(WORDS), WORDS)


def cancel_of_a_task():
    async def abandon():
        async_client = ollama.AsyncClient(URL, timeout=PATIENCE_SECONDS)
        begun = asyncio.Event()

        async def endless():
            async for _ in await async_client.chat(CHAT_MODEL, user(ENDLESS), stream=True):
                begun.set()

        task = asyncio.create_task(endless())
        begins = asyncio.create_task(begun.wait())
        await asyncio.wait({task, begins}, return_when=asyncio.FIRST_COMPLETED)
        expect(begun.is_set(), "the stream ended before it began")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return (await async_client.chat(CHAT_MODEL, user(WORDS))).message.content

    expect_echo(asyncio.run(abandon()), WORDS)


run(
    "ollama-python",
    "ollama",
    [
        ("chat", chat),
        ("chat streamed", chat_streamed),
        ("generate", generate),
        ("generate streamed", generate_streamed),
        ("tool call", tool_call),
        ("structured output", structured_output),
        ("load only", load_only),
        ("list models", list_models),
        ("show", show),
        ("ps", ps),
        ("embed", embed),
        ("embeddings of one prompt", embeddings_of_one_prompt),
        ("unknown model is a ResponseError 404", unknown_model),
        ("20 concurrent chats get their own answers", concurrent_chats),
        ("cancel in mid-stream, then chat", cancel_in_mid_stream),
        ("cancel of a task, then chat", cancel_of_a_task),
    ],
)
