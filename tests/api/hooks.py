"""What no description can say: which models there are, when a stream has told enough, what a line is."""

import base64
import itertools
import json
import time
from urllib.parse import parse_qs, urlsplit

import jsonschema_rs
import requests
import schemathesis
from requests.adapters import HTTPAdapter
from schemathesis.specs.openapi.checks import negative_data_rejection
from urllib3.exceptions import HTTPError

MODEL = "llama3.2:1b"
EVENTS = "/foreman/v1/events"
JOBS = "/foreman/v1/jobs"
STREAMS = ("application/x-ndjson", "text/event-stream")
ENDED = ("done", "failed", "cancelled")
# How long a stream that has no end of its own is read.
PATIENCE = 2.0

# A request that is right for every endpoint.
RIGHT = {
    "model": MODEL,
    "prompt": "hello",
    "messages": [{"role": "user", "content": "hello"}],
    "input": "hello",
    "max_tokens": 5,
}

accepted = itertools.cycle(STREAMS)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Names a model that the target has, waits for no longer than a test can, and bounds streams.

    What is wrong with a request stays wrong.
    """
    if case.meta is not None and case.meta.generation.mode.is_positive:
        for submission in case.body if isinstance(case.body, list) else [case.body]:
            if isinstance(submission, dict) and isinstance(submission.get("request"), dict):
                submission["request"] = whole(submission["request"] | {"model": MODEL})
        if isinstance(case.query, dict) and str(case.query.get("wait", "")).endswith("s"):
            case.query["wait"] = "5ms"
    if case.path == EVENTS and case.method == "GET":
        case.headers = {**(case.headers or {}), "Accept": next(accepted)}


@schemathesis.hook
def after_call(context, case, response):
    """Lets a queue that was paused go on, or the jobs of all that follows would not run."""
    if case.path.endswith("/queue/pause") and response.status_code == 200:
        base = case.operation.base_url or case.operation.schema.get_base_url()
        requests.post(base.rstrip("/") + "/foreman/v1/queue/resume", timeout=10)


def whole(value):
    """Writes whole numbers as Go reads them: to a schema 7.0 is an integer, to Ollama it is none."""
    if isinstance(value, dict):
        return {key: whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Bounded(HTTPAdapter):
    """Reads a stream that may not end until it has told what is asked of it, or its time is over."""

    def send(self, request, **kwargs):
        url = urlsplit(request.url)
        endless = url.path == EVENTS or "true" in parse_qs(url.query).get("follow", [])
        if not endless:
            return super().send(request, **kwargs)
        response = super().send(request, **{**kwargs, "timeout": PATIENCE})
        wanted = happening(f"{url.scheme}://{url.netloc}") if url.path == EVENTS else None
        # Server-sent events are bounded by schemathesis itself.
        if response.headers.get("content-type") == "application/x-ndjson":
            response._content = until(response, wanted)
            response._content_consumed = True
            response.close()
        return response


# What every session is made with.
requests.sessions.HTTPAdapter = Bounded


def happening(base):
    """Makes a job, so that there is something to tell; returns its id."""
    job = {"endpoint": "/api/generate", "request": {"model": MODEL, "prompt": "hello"}}
    made = requests.post(base + JOBS, json=job, timeout=10)
    return made.json().get("id") if made.ok else None


def until(response, wanted):
    """Reads whole lines until the wanted job has ended, or the time is over."""
    deadline = time.monotonic() + PATIENCE
    content = b""
    try:
        for chunk in response.raw.stream(64 * 1024):
            content += chunk
            if time.monotonic() > deadline or (wanted and has_ended(content, wanted)):
                break
    except (HTTPError, OSError):
        pass
    return content[: content.rfind(b"\n") + 1]


def has_ended(content, wanted):
    lines = [line for line in content.split(b"\n") if wanted.encode() in line]
    return any(f'"state":"{state}"'.encode() in line for line in lines for state in ENDED)


@schemathesis.check
def every_line_is_described(ctx, response, case):
    """Each line of NDJSON, and each server-sent event, is what the description says of it."""
    kind = response.headers.get("content-type", [""])[0]
    if kind not in STREAMS:
        return
    lines = response.content.split(b"\n")
    if kind == "text/event-stream":
        lines = [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: ")]
    lines = [json.loads(line) for line in lines if line]
    root = case.operation.schema.raw_schema
    status = str(response.status_code)
    responses = root["paths"][case.path][case.method.lower()]["responses"]
    if status not in responses:
        # The target's own lines.
        return
    schema = responses[status]["content"]["application/x-ndjson"]["schema"]
    judge = jsonschema_rs.validator_for({**schema, "components": root["components"]})
    for line in lines:
        judge.validate(line)
    if case.path == EVENTS:
        assert lines, "a job was made, and nothing was told of it"
    if case.path.endswith("/stream"):
        the_numbers_are_dense(lines, case)


def the_numbers_are_dense(lines, case):
    query = case.query if isinstance(case.query, dict) else {}
    after = int(query.get("starting_after", 0))
    numbers = [line["n"] for line in lines]
    if numbers and numbers[0] == after + 1:
        assert numbers == list(range(after + 1, after + 1 + len(numbers))), numbers
    else:
        # After the last event there is its end alone.
        assert [line["type"] for line in lines] in ([], ["end"]), lines
    assert all(line["type"] != "end" for line in lines[:-1]), lines
    for line in lines:
        base64.b64decode(line.get("data_base64", ""), validate=True)


@schemathesis.check
def what_is_well_formed_is_refused_for_a_reason(ctx, response, case):
    """A request as described is refused only for what depends on more than itself."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    status = response.status_code
    if case.path.endswith("/output") and status == 400 and "code" not in response.json():
        # The target refused the job when it ran.
        return
    if status == 400:
        assert case.path == JOBS and "after" in (case.query or {}), response.text
        assert "parameter after" in response.json()["error"], response.text
    elif status == 404 and case.path == JOBS:
        raise AssertionError(response.text)
    elif status == 422:
        assert response.json()["code"] == "idempotency_mismatch", response.text


@schemathesis.check
def what_is_wrong_with_a_submission_is_refused(ctx, response, case):
    """A request that is not as described is refused, but for what the target may take all the same.

    Within `request` the description says what is meant to be sent. Ollama takes more (a null for
    anything, a number for a message of /v1 until it is run), and what it may take is its to judge.
    """
    if case.path == JOBS and case.method == "POST" and not is_right_outside(case):
        negative_data_rejection(ctx, response, case)


def is_right_outside(case):
    body = case.body
    if not isinstance(body, dict) or not isinstance(body.get("request"), dict):
        return False
    root = case.operation.schema.raw_schema
    schema = {"$ref": "#/components/schemas/Submission", "components": root["components"]}
    return jsonschema_rs.validator_for(schema).is_valid({**body, "request": RIGHT})
