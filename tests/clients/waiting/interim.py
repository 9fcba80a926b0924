"""Whether Python's HTTP libraries wait through interim responses, and what they then get.

Arguments: the addresses of four foremen: one that sends interim responses often, one that sends
none, one whose target refuses late, and one with the settings that a fresh install has.
"""

import asyncio
import concurrent.futures
import json
import socket
import sys
import urllib.parse

import aiohttp
import httpx
import requests
from harness import CHAT_MODEL, PATIENCE_SECONDS, WORDS, expect, expect_echo, report, user
from holding import held_slot, let_wait

OFTEN, NEVER, LATE, FRESH = sys.argv[1:5]

# No byte for this long, and the library gives up.
READ_LIMIT_SECONDS = 1
# A fresh install's interval is 15 s.
WAITED_FOR_FRESH_SECONDS = 17


def chat_of(model):
    return {"model": model, "stream": False, "messages": user(WORDS)}


def with_httpx(url, model=CHAT_MODEL):
    limits = httpx.Timeout(PATIENCE_SECONDS, read=READ_LIMIT_SECONDS)
    reply = httpx.post(f"{url}/api/chat", json=chat_of(model), timeout=limits)
    return reply.status_code, reply.json()


def with_aiohttp(url, model=CHAT_MODEL):
    async def post():
        limits = aiohttp.ClientTimeout(total=None, sock_read=READ_LIMIT_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=limits) as session,
            session.post(f"{url}/api/chat", json=chat_of(model)) as reply,
        ):
            return reply.status, await reply.json()

    return asyncio.run(post())


def with_requests(url, model=CHAT_MODEL):
    reply = requests.post(f"{url}/api/chat", json=chat_of(model), timeout=PATIENCE_SECONDS)
    return reply.status_code, reply.json()


def expect_answer(outcome):
    status, body = outcome
    expect(status == 200, f"status {status}: {body}")
    expect_echo(body["message"]["content"], WORDS)


def answered(post):
    """Checks that a caller is answered who waits for longer than its library does."""
    with concurrent.futures.ThreadPoolExecutor() as callers:
        with held_slot(OFTEN):
            waiting = callers.submit(post, OFTEN)
            let_wait([waiting])
        expect_answer(waiting.result())


def gives_up(post, kind):
    """Checks that the same caller gives up where nothing is sent: the wait is a real one."""
    with held_slot(NEVER):
        try:
            outcome = post(NEVER)
        except kind:
            return
    raise AssertionError(f"it did not give up: {outcome}")


def keeps_status(post):
    """Checks that what comes after interim responses has its own status."""
    for status in [404, 502]:
        found, body = post(LATE, f"late{status}:latest")
        expect(found == status, f"status {found} instead of {status}: {body}")
        expect(body["error"] == f"late {status}", f"said {body}")


def captured(url, agent):
    """Sends a chat by hand under a library's name; returns the status lines of the answer."""
    address = urllib.parse.urlsplit(url)
    body = json.dumps(chat_of(CHAT_MODEL)).encode()
    head = (
        f"POST /api/chat HTTP/1.1\r\nHost: {address.netloc}\r\nUser-Agent: {agent}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    place = (address.hostname, address.port)
    with socket.create_connection(place, timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(head.encode() + body)
        with connection.makefile("rb") as answer:
            lines = answer.read().decode().split("\r\n")
    return [line for line in lines if line.startswith("HTTP/1.1 ")]


def fresh_install():
    """Checks that only a library that skips interim responses is sent them."""
    agent = requests.utils.default_user_agent()
    with concurrent.futures.ThreadPoolExecutor() as callers:
        with held_slot(FRESH):
            waiting = callers.submit(with_requests, FRESH)
            breaks = callers.submit(captured, FRESH, agent)
            skips = callers.submit(captured, FRESH, f"python-httpx/{httpx.__version__}")
            let_wait([waiting, breaks, skips], WAITED_FOR_FRESH_SECONDS)
        expect_answer(waiting.result())
        expect(breaks.result() == ["HTTP/1.1 200 OK"], f"{agent} got {breaks.result()}")
        heads = ["HTTP/1.1 102 Processing", "HTTP/1.1 200 OK"]
        expect(skips.result() == heads, f"httpx got {skips.result()}")


def checks_of(post, kind):
    return [
        ("waits through interim responses", lambda: answered(post)),
        ("gives up without them", lambda: gives_up(post, kind)),
        ("a late 404 and a late 502 keep their status", lambda: keeps_status(post)),
    ]


with concurrent.futures.ThreadPoolExecutor() as threads:
    # It takes long, and has a foreman of its own.
    fresh = threads.submit(fresh_install)
    passed = [
        report("httpx", "httpx", checks_of(with_httpx, httpx.ReadTimeout)),
        report("aiohttp", "aiohttp", checks_of(with_aiohttp, aiohttp.SocketTimeoutError)),
        report("requests", "requests", [("is sent no interim responses by default", fresh.result)]),
    ]
sys.exit(0 if all(passed) else 1)
