"""A target that refuses every chat late: after some seconds, with the status its model is named for.

Prints its address once it listens, and runs until it is killed.
"""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DELAY_SECONDS = 2
STATUSES = {"late404:latest": 404, "late502:latest": 502}

MODELS = [
    {
        "name": name,
        "model": name,
        "modified_at": "2026-01-01T00:00:00Z",
        "size": 1_000_000,
        "digest": f"{status:064x}",
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": "llama",
            "families": ["llama"],
            "parameter_size": "1B",
            "quantization_level": "Q4_0",
        },
    }
    for name, status in STATUSES.items()
]
ANSWERS = {
    "/": "Ollama is running",
    "/api/version": {"version": "0.33.0"},
    "/api/tags": {"models": MODELS},
    "/api/ps": {"models": []},
    "/v1/models": {
        "object": "list",
        "data": [
            {"id": name, "object": "model", "created": 0, "owned_by": "library"} for name in STATUSES
        ],
    },
    "/api/show": {"capabilities": ["completion"], "details": MODELS[0]["details"], "model_info": {}},
}


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, ANSWERS.get(self.path))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/api/chat":
            self.answer(200, ANSWERS.get(self.path))
            return
        status = STATUSES[json.loads(body)["model"]]
        time.sleep(DELAY_SECONDS)
        self.answer(status, {"error": f"late {status}"})

    def answer(self, status, content):
        if content is None:
            status, content = 404, "404 page not found"
        is_text = isinstance(content, str)
        body = (content if is_text else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if is_text else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
