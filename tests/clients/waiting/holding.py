"""Callers that wait: what holds the slot meanwhile."""

import concurrent.futures
import contextlib
import json
import urllib.request

from harness import CHAT_MODEL, ENDLESS, PATIENCE_SECONDS, user

# How long each caller waits: longer than any limit of its own.
WAITED_SECONDS = 3


@contextlib.contextmanager
def held_slot(url):
    """Holds the slot of the foreman there with an answer that has no end."""
    body = json.dumps({"model": CHAT_MODEL, "messages": user(ENDLESS)}).encode()
    request = urllib.request.Request(f"{url}/api/chat", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        # The first piece is here: the slot is taken.
        answer.readline()
        yield


def let_wait(calls, seconds=WAITED_SECONDS):
    """Gives the calls that time in which they must not end."""
    ended, _ = concurrent.futures.wait(calls, seconds, concurrent.futures.FIRST_COMPLETED)
    for call in ended:
        raise AssertionError(f"ended early: {call.exception() or call.result()}")
