"""A hub of one repository, as far as huggingface_hub's plain download goes: no Xet, no redirect, no accounts."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.fetched: list[str] = []
        self.is_gated = False
        self.breaks_off = False
        """At the weights, which come last."""
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        if path.startswith("/api/models/org/model/revision/"):
            siblings = [{"rfilename": name, "size": len(content)} for name, content in self.files.items()]
            if path.endswith("/gone"):
                self._refuse(handler, 404, "RevisionNotFound")
            elif self.is_gated:
                self._refuse(handler, 403, "GatedRepo")
            else:
                body = json.dumps({"id": "org/model", "modelId": "org/model", "sha": COMMIT, "siblings": siblings})
                self._send(handler, body.encode(), {"Content-Type": "application/json"})
        elif path.startswith(f"/org/model/resolve/{COMMIT}/"):
            name = path.rpartition("/")[2]
            content = self.files[name]
            if handler.command == "GET":
                self.fetched.append(name)
            if self.breaks_off and name.endswith(".safetensors") and handler.command == "GET":
                self._refuse(handler, 500, "Broken")
                return
            etag = hashlib.sha256(content).hexdigest()
            self._send(handler, content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})
        else:
            self._refuse(handler, 401, "RepoNotFound")

    def _send(self, handler: BaseHTTPRequestHandler, body: bytes, headers: dict[str, str]) -> None:
        handler.send_response(200)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(body)

    def _refuse(self, handler: BaseHTTPRequestHandler, status: int, code: str) -> None:
        handler.send_response(status)
        handler.send_header("X-Error-Code", code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Hub]:
    hub = Hub(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.answer(self)

        do_HEAD = do_GET  # noqa: N815  # the standard library's own names

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        hub.url = f"http://127.0.0.1:{server.server_port}"
        yield hub
        server.shutdown()
        thread.join()
