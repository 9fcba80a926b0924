"""Whether the Python clients that people use read answers that begin with heartbeats.

Argument: the address of a foreman.
"""

import concurrent.futures
import sys

import anthropic
import ollama
import openai
from harness import CHAT_MODEL, PATIENCE_SECONDS, WORDS, expect, report, user
from holding import held_slot, let_wait

URL = sys.argv[1]
HEARTBEATS = {"X-Foreman-Heartbeat": "1s"}
# Only heartbeats keep a client that gives up when no byte comes for this long.
READ_LIMIT_SECONDS = 2


def ollama_of(**settings):
    client = ollama.Client(URL, **settings)

    def whole():
        return client.chat(CHAT_MODEL, user(WORDS)).message.content

    def streamed():
        parts = client.chat(CHAT_MODEL, user(WORDS), stream=True)
        return [part.message.content for part in parts]

    return whole, streamed


def openai_of(headers=None, **settings):
    client = openai.OpenAI(
        base_url=f"{URL}/v1",
        api_key="none",
        max_retries=0,
        default_headers=headers,
        **settings,
    )
    create = client.chat.completions.create

    def whole():
        reply = create(model=CHAT_MODEL, messages=user(WORDS))
        return reply.choices[0].message.content

    def streamed():
        chunks = create(model=CHAT_MODEL, messages=user(WORDS), stream=True)
        return [chunk.choices[0].delta.content for chunk in chunks]

    return whole, streamed


def anthropic_of(headers=None, **settings):
    client = anthropic.Anthropic(
        base_url=URL,
        api_key="none",
        max_retries=0,
        default_headers=headers,
        **settings,
    )
    asked = {"model": CHAT_MODEL, "max_tokens": 1024, "messages": user(WORDS)}

    def whole():
        return client.messages.create(**asked).content[0].text

    def streamed():
        with client.messages.stream(**asked) as stream:
            return list(stream.text_stream)

    return whole, streamed


def same_after_wait(client_of):
    """Checks that a client that waits gets what it gets without waiting."""
    expected = [call() for call in client_of(timeout=PATIENCE_SECONDS)]
    with concurrent.futures.ThreadPoolExecutor() as callers:
        with held_slot(URL):
            calls = client_of(headers=HEARTBEATS, timeout=READ_LIMIT_SECONDS)
            waiting = [callers.submit(call) for call in calls]
            let_wait(waiting)
        found = [call.result() for call in waiting]
    expect(found == expected, f"got {found} instead of {expected}")


def checks_of(client_of):
    return [("waits through heartbeats", lambda: same_after_wait(client_of))]


passed = [
    report("ollama-python", "ollama", checks_of(ollama_of)),
    report("openai-python", "openai", checks_of(openai_of)),
    report("anthropic-python", "anthropic", checks_of(anthropic_of)),
]
sys.exit(0 if all(passed) else 1)
