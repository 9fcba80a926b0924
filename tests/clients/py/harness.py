"""Runs the checks of one client in order and prints one line for each."""

import importlib.metadata
import json
import sys

CHAT_MODEL = "llama3.2:1b"
EMBED_MODEL = "all-minilm:latest"
ALL_MODELS = {"llama3.2:1b", "qwen3:0.6b", "gemma3:270m", "all-minilm:latest"}
MISSING_MODEL = "no-such-model:1b"

WORDS = "the quick brown fox jumps"
# Longer than any check may last: only a cancelled stream lets the next caller in.
ENDLESS = "stub:tokens=100000 stub:pace=20ms"
CONCURRENT = 20
# For a client's own clock, so that a hang is the failure of one check.
PATIENCE_SECONDS = 30

# The first tool offered is called with these arguments.
TOOL_ARGUMENTS = {"city": "Paris"}
CALLS_TOOL = 'stub:toolcall={"city":"Paris"} what is the weather'
WEATHER_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "The name of the city"}},
    "required": ["city"],
}
WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather in a city",
        "parameters": WEATHER_SCHEMA,
    },
}

# What the models of the second target answer, whatever they are asked.
JSON_ANSWER = {"city": "Paris", "people": 2}
JSON_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}


class Skipped(Exception):
    """Says why a check cannot be made here."""


def json_url():
    """Returns the address where every answer is JSON_ANSWER."""
    if len(sys.argv) < 3:
        raise Skipped("no target that answers JSON")
    return sys.argv[2]


def user(text):
    """Returns a conversation of one message."""
    return [{"role": "user", "content": text}]


def expect(condition, message):
    """Fails the check with the message unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def expect_echo(answer, words):
    """Fails the check unless the answer holds the words of the prompt."""
    expect(words in (answer or ""), f"{words!r} is not in {answer!r}")


def expect_pieces(pieces, whole):
    """Fails the check unless several pieces make up the whole answer."""
    expect(len(pieces) > 2, f"only {len(pieces)} pieces")
    joined = "".join(pieces)
    expect(joined == whole, f"streamed {joined!r}, unstreamed {whole!r}")


def expect_tool_call(name, arguments):
    """Fails the check unless this calls the tool as it should be; arguments may be JSON text."""
    expect(name == "weather", f"called {name!r}")
    parsed = json.loads(arguments) if isinstance(arguments, str) else dict(arguments)
    expect(parsed == TOOL_ARGUMENTS, f"arguments {arguments!r}")


def expect_one(items, what):
    """Fails the check unless there is exactly one of them; returns it."""
    found = list(items)
    expect(len(found) == 1, f"{len(found)} {what}")
    return found[0]


def expect_error(kind, call, status=404):
    """Fails the check unless the call raises that error with that status; returns it."""
    try:
        call()
    except kind as error:
        expect(error.status_code == status, f"status {error.status_code}, not {status}: {error}")
        return error
    raise AssertionError(f"no {kind.__name__}")


def expect_own_answers(ask_all):
    """Fails the check unless every concurrent caller gets the answer to its own prompt."""
    prompts = [f"caller{number:02d} speaks" for number in range(CONCURRENT)]
    answers = ask_all(prompts)
    for prompt, answer in zip(prompts, answers, strict=True):
        expect_echo(answer, prompt)
        expect(answer.count("caller") == 1, f"other callers' words in {answer!r}")


def expect_vectors(vectors):
    """Fails the check unless these are the vectors of two texts and the first text again."""
    expect(len(vectors) == 3, f"{len(vectors)} vectors for 3 texts")
    sizes = {len(vector) for vector in vectors}
    expect(len(sizes) == 1 and 0 not in sizes, f"sizes {sizes}")
    expect(vectors[0] == vectors[2], "one text, two vectors")
    expect(vectors[0] != vectors[1], "two texts, one vector")


def report(client, package, checks):
    """Runs (name, function) pairs and reports each; returns whether none failed."""
    print(f"== {client} {importlib.metadata.version(package)}", flush=True)
    passed = True
    for name, check in checks:
        try:
            check()
        except Skipped as reason:
            print(f"SKIP {client}: {name} ({reason})", flush=True)
        except Exception as error:  # noqa: BLE001: whatever it is, the check failed
            passed = False
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:400]
            print(f"FAIL {client}: {name} ({reason})", flush=True)
        else:
            print(f"ok {client}: {name}", flush=True)
    return passed


def run(client, package, checks):
    """Runs the checks of the only client of a program, and ends it."""
    sys.exit(0 if report(client, package, checks) else 1)
