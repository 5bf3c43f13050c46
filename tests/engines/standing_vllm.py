"""Stands in for vLLM's server where its own is not to be had: a process at the socket that is named, and no model.

It reads its behaviour from a file beside it, anew for each call: ``{"/health": 200, "finish": "stop", ...}``. The base
says "well", an adapter the name of its folder, and in a prompt of two tokens each takes its time.
"""

from __future__ import annotations

import http.server
import json
import socketserver
import sys
import time
from pathlib import Path
from typing import Any

_says = {"base": "well"}

_ANSWERS: dict[str, dict[str, Any]] = {
    "/health": {},
    "/v1/models": {"object": "list", "data": [{"id": "base", "object": "model", "max_model_len": 99}]},
    "/v1/load_lora_adapter": {},
    "/v1/completions": {
        "id": "1",
        "object": "text_completion",
        "created": 0,
        "model": "base",
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    },
}


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "lora_name" in asked:
            _says[asked["lora_name"]] = Path(asked["lora_path"]).name
        if len(asked.get("prompt", ())) > 1:
            time.sleep(1.0)
        self._answer(asked.get("model", "base"))

    def _answer(self, model: str = "base") -> None:
        behaviour = json.loads(Path(__file__).with_name("behaviour.json").read_text())
        status = behaviour.get(self.path, 200)
        if model not in _says:
            status = 404
        told = _ANSWERS[self.path] | {
            "choices": [{"index": 0, "text": _says.get(model), "finish_reason": behaviour["finish"]}]
        }
        body = json.dumps(told if status == 200 else {"error": {"message": "this call failed"}}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's own name
        """Say nothing."""


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


if __name__ == "__main__":
    _Server(sys.argv[sys.argv.index("--uds") + 1], _Handler).serve_forever()
