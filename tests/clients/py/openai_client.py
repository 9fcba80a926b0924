"""Checks with OpenAI's Python client, blocking and asynchronous."""

import asyncio
import json
import sys

import openai
from harness import (
    ALL_MODELS,
    CALLS_TOOL,
    CHAT_MODEL,
    EMBED_MODEL,
    ENDLESS,
    JSON_ANSWER,
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
    user,
)
from pydantic import BaseModel

# Retries would hide failures.
SETTINGS = {
    "base_url": f"{sys.argv[1]}/v1",
    "api_key": "none",
    "max_retries": 0,
    "timeout": PATIENCE_SECONDS,
}
client = openai.OpenAI(**SETTINGS)
completions = client.chat.completions


def ask(text):
    reply = completions.create(model=CHAT_MODEL, messages=user(text))
    return reply.choices[0].message.content


def chat():
    reply = completions.create(model=CHAT_MODEL, messages=user(WORDS))
    expect_echo(reply.choices[0].message.content, WORDS)
    expect(reply.choices[0].finish_reason == "stop", f"ended by {reply.choices[0].finish_reason}")
    expect(reply.usage.completion_tokens > 0, f"usage {reply.usage}")


def chat_streamed():
    chunks = list(
        completions.create(
            model=CHAT_MODEL,
            messages=user(WORDS),
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    deltas = [chunk.choices[0] for chunk in chunks if chunk.choices]
    expect_pieces([delta.delta.content or "" for delta in deltas], ask(WORDS))
    reasons = [delta.finish_reason for delta in deltas if delta.finish_reason]
    expect(reasons == ["stop"], f"finish reasons {reasons}")
    expect(not chunks[-1].choices and chunks[-1].usage.total_tokens > 0, "no usage at the end")


def completion():
    reply = client.completions.create(model=CHAT_MODEL, prompt=WORDS)
    expect_echo(reply.choices[0].text, WORDS)
    chunks = list(client.completions.create(model=CHAT_MODEL, prompt=WORDS, stream=True))
    texts = [chunk.choices[0].text for chunk in chunks if chunk.choices]
    expect_pieces(texts, reply.choices[0].text)


def tool_call():
    def create(messages, **more):
        return completions.create(model=CHAT_MODEL, messages=messages, tools=[WEATHER_TOOL], **more)

    messages = user(CALLS_TOOL)
    choice = create(messages).choices[0]
    expect(choice.finish_reason == "tool_calls", f"ended by {choice.finish_reason}")
    call = expect_one(choice.message.tool_calls, "tool calls")
    expect_tool_call(call.function.name, call.function.arguments)

    chunks = [chunk for chunk in create(messages, stream=True) if chunk.choices]
    deltas = [delta for chunk in chunks for delta in chunk.choices[0].delta.tool_calls or []]
    name = "".join(delta.function.name or "" for delta in deltas)
    expect_tool_call(name, "".join(delta.function.arguments or "" for delta in deltas))

    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    reply = create([*messages, choice.message, result, *user(WORDS)])
    expect_echo(reply.choices[0].message.content, WORDS)


class City(BaseModel):
    """What JSON_ANSWER is about."""

    city: str
    people: int


def structured_output():
    json_client = openai.OpenAI(**{**SETTINGS, "base_url": f"{json_url()}/v1"})
    asked = {"model": CHAT_MODEL, "messages": user(WORDS)}
    reply = json_client.chat.completions.parse(**asked, response_format=City)
    expect(reply.choices[0].message.parsed == City(**JSON_ANSWER), f"parsed {reply.choices[0]}")
    reply = json_client.chat.completions.create(**asked, response_format={"type": "json_object"})
    answer = json.loads(reply.choices[0].message.content)
    expect(answer == JSON_ANSWER, f"answered {answer}")
    with json_client.chat.completions.stream(**asked, response_format=City) as stream:
        final = stream.get_final_completion()
    expect(final.choices[0].message.parsed == City(**JSON_ANSWER), f"streamed {final.choices[0]}")


def responses():
    reply = client.responses.create(model=CHAT_MODEL, input=WORDS)
    expect_echo(reply.output_text, WORDS)


def responses_streamed():
    events = list(client.responses.create(model=CHAT_MODEL, input=WORDS, stream=True))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    whole = client.responses.create(model=CHAT_MODEL, input=WORDS).output_text
    expect_pieces(deltas, whole)
    expect(events[-1].type == "response.completed", f"ended with {events[-1].type}")


def responses_tool_call():
    tool = {"type": "function", **WEATHER_TOOL["function"]}
    reply = client.responses.create(model=CHAT_MODEL, input=CALLS_TOOL, tools=[tool])
    calls = [item for item in reply.output if item.type == "function_call"]
    call = expect_one(calls, "tool calls")
    expect_tool_call(call.name, call.arguments)


def list_models():
    names = {model.id for model in client.models.list()}
    expect(names >= ALL_MODELS, f"models {names}")


def retrieve_model():
    expect(client.models.retrieve(CHAT_MODEL).id == CHAT_MODEL, "another model")


def embeddings():
    reply = client.embeddings.create(model=EMBED_MODEL, input=["one", "two", "one"])
    expect_vectors([row.embedding for row in reply.data])


def unknown_model():
    def create(**more):
        return completions.create(model=MISSING_MODEL, messages=user(WORDS), **more)

    error = expect_error(openai.NotFoundError, create)
    expect("not found" in error.body["message"], f"said {error.body}")
    expect_error(openai.NotFoundError, lambda: list(create(stream=True)))
    expect_error(openai.NotFoundError, lambda: client.models.retrieve(MISSING_MODEL))


def concurrent_chats():
    async def one(async_client, number, text):
        create = async_client.chat.completions.create
        if number % 2:
            reply = await create(model=CHAT_MODEL, messages=user(text))
            return reply.choices[0].message.content
        chunks = await create(model=CHAT_MODEL, messages=user(text), stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    async def everyone(prompts):
        async with openai.AsyncOpenAI(**SETTINGS) as async_client:
            chats = (one(async_client, number, text) for number, text in enumerate(prompts))
            return await asyncio.gather(*chats)

    expect_own_answers(lambda prompts: asyncio.run(everyone(prompts)))


def cancel_in_mid_stream():
    stream = completions.create(model=CHAT_MODEL, messages=user(ENDLESS), stream=True)
    next(stream)
    next(stream)
    stream.close()
    expect_echo(ask(WORDS), WORDS)


run(
    "openai-python",
    "openai",
    [
        ("chat completion", chat),
        ("chat completion streamed", chat_streamed),
        ("completion, both ways", completion),
        ("tool call", tool_call),
        ("structured output", structured_output),
        ("responses", responses),
        ("responses streamed", responses_streamed),
        ("responses with a tool call", responses_tool_call),
        ("list models", list_models),
        ("retrieve a model", retrieve_model),
        ("embeddings", embeddings),
        ("unknown model is a NotFoundError", unknown_model),
        ("20 concurrent chats get their own answers", concurrent_chats),
        ("cancel in mid-stream, then chat", cancel_in_mid_stream),
    ],
)
