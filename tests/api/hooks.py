"""Leads the generated requests past what no description can say: jobs that run, waits that end."""

import schemathesis

GOOD = {
    "model": "llama3.2:1b",
    "stream": False,
    "messages": [{"role": "user", "content": "hi"}],
    "prompt": "hi",
    "input": "hi",
    "max_tokens": 9,
}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Asks something of a model that the target has, and does not wait for what takes years.

    What is wrong with a request stays wrong.
    """
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("request"), dict):
        model = body["request"].get("model")
        if isinstance(model, str) and model:
            body["request"] = dict(GOOD)
    query = case.query
    if isinstance(query, dict):
        wait = query.get("wait")
        if isinstance(wait, str) and wait.endswith("s") and wait.rstrip("ms").isdigit():
            query["wait"] = "1ms"
        if query.get("follow") in (True, "true"):
            query["follow"] = "false"
