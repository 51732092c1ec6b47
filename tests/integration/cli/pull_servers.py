"""A Model Runner and an Ollama that pull models, or fail to, as the asked model's name says."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MEGABYTE = 1_000_000
LAYERS = {"sha256:aa": 3 * MEGABYTE, "sha256:bb": 1 * MEGABYTE}
TOTAL = sum(LAYERS.values())


class PullServer:
    """Both at one address, as Docker's own Model Runner offers both. `models` are those it has."""

    def __init__(self, *models: str) -> None:
        self.models = list(models)
        self.asked: list[dict[str, Any]] = []
        self.client_left = threading.Event()
        self.url = ""

    @contextmanager
    def running(self) -> Iterator["PullServer"]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    @property
    def settings(self) -> dict[str, str]:
        return {"MODEL_RUNNER_URL": f"{self.url}/engines/llama.cpp/v1", "OLLAMA_BASE_URL": self.url}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                listings: dict[str, Any] = {
                    "/models": [{"id": "sha256:0", "tags": [name], "config": {}} for name in owner.models],
                    "/api/tags": {"models": [{"name": name, "size": 1} for name in owner.models]},
                }
                if self.path in listings:
                    self.answer(200, json.dumps(listings[self.path]))
                else:
                    self.answer(404, "not found")

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                owner.asked.append({"path": self.path, "body": body, "accept": self.headers["accept"]})
                script, name = (
                    (_model_runner, body["from"]) if self.path == "/models/create" else (_ollama, body["model"])
                )
                script(self, name)

            def answer(self, status: int, text: str) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def line(self, **document: object) -> None:
                self.wfile.write(json.dumps(document).encode() + b"\n")

            def wait_for_the_client_to_leave(self) -> None:
                assert self.connection.recv(1) == b""
                owner.client_left.set()

            def arrived(self, name: str) -> None:
                owner.models.append(name)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _model_runner(handler: Any, name: str) -> None:
    refusals = {"absent": (404, "Model not found"), "private": (401, "Unauthorized"), "broken": (500, "no disk")}
    if name in refusals:
        handler.answer(*refusals[name])
        return
    handler.answer(200, "")
    if name == "page":
        handler.wfile.write(b"<html>Sign in to the guest network</html>")
        return
    for layer, size in LAYERS.items():
        for tenths in range(0, 11, 5):
            about = {"id": layer, "size": size, "current": size * tenths // 10}
            handler.line(type="progress", message="Downloaded", total=TOTAL, layer=about, mode="pull")
        if name == "slow":
            handler.wait_for_the_client_to_leave()
            return
        if name == "full-disk":
            handler.line(type="error", message="Error: no space left on \x1b[31mdevice", total=0, layer={}, mode="pull")
            handler.wfile.write(b"error while pulling model\n")
            return
        if name == "cut":
            return
    handler.line(type="success", message="Model pulled successfully", total=0, layer={"size": 0}, mode="pull")
    handler.arrived(name)


def _ollama(handler: Any, name: str) -> None:
    handler.answer(200, "")
    handler.line(status="pulling manifest")
    if name == "absent":
        handler.line(error="pull model manifest: file does not exist")
        return
    for layer, size in LAYERS.items():
        handler.line(status=f"pulling {layer}", digest=layer, total=size)
        handler.line(status=f"pulling {layer}", digest=layer, total=size, completed=size)
    if name == "cut":
        return
    handler.line(status="verifying sha256 digest")
    handler.line(status="success")
    handler.arrived(name)
