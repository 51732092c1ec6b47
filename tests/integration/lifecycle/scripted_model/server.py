"""A runner that keeps the contract of `common/fleet/contracts.py` and does what SCRIPT_* variables and callers say.

A call takes the first number of seconds in its prompt. One whose prompt says HELD is held until something is written
into the weights, by which a test releases all of them. What answers a chat is the model's name.
"""

import json
import os
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MODEL = os.environ.get("ULTRA_MODEL_ID", "")
WEIGHTS = Path(os.environ.get("ULTRA_MODEL_PATH", ""))
LOAD_SECONDS = float(os.environ.get("SCRIPT_LOAD_SECONDS", "0"))
MEMORY_MIB = int(os.environ.get("SCRIPT_MEMORY_MIB", "0"))
FATAL = os.environ.get("SCRIPT_FATAL")  # "model_missing 3"
CRASH_AFTER_SECONDS = os.environ.get("SCRIPT_CRASH_AFTER_SECONDS")

lock = threading.Lock()
state: dict[str, Any] = {"status": "loading", "in_flight": 0, "ended_at": time.monotonic()}
ballast = bytearray()


def health() -> dict[str, Any]:
    with lock:
        idle = None if state["in_flight"] else time.monotonic() - state["ended_at"]
        return {
            "status": state["status"],
            "model": MODEL,
            "in_flight": state["in_flight"],
            "waiting": 0,
            "idle_seconds": idle,
            "memory_bytes": len(ballast),
            "load_seconds": LOAD_SECONDS,
        }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, health())
        elif self.path == "/ready":
            is_ready = state["status"] == "ready"
            self.answer(200 if is_ready else 503, {"status": state["status"], "reason": "loading"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        if self.path == "/crash":
            os._exit(body.get("code", 1))
        if body.get("model", MODEL) != MODEL:  # an address changes hands
            self.refuse(404, "model_not_found")
            return
        with lock:
            if state["status"] != "ready":
                self.refuse(503, state["status"])
                return
            state["in_flight"] += 1
        try:
            take_time(body)
            self.reply(body)  # in flight until it is out: who drains waits for that
        finally:
            with lock:
                state["in_flight"] -= 1
                state["ended_at"] = time.monotonic()

    def reply(self, body: dict[str, Any]) -> None:
        if "messages" not in body:
            self.answer(200, {"response": "scripted", "usage": {}, "latency_ms": 0})
            return
        said = {"role": "assistant", "content": MODEL}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        chat = {"id": "chatcmpl-1", "created": 1, "model": MODEL, "usage": usage}
        if body.get("stream"):
            choice = {"index": 0, "delta": said, "finish_reason": "stop"}
            chunk = chat | {"object": "chat.completion.chunk", "choices": [choice]}
            self.send(200, "text/event-stream", f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode())
        else:
            choice = {"index": 0, "message": said, "finish_reason": "stop"}
            self.answer(200, chat | {"object": "chat.completion", "choices": [choice]})

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, {"error": {"code": code, "message": code}})

    def answer(self, status: int, document: object) -> None:
        self.send(status, "application/json", json.dumps(document).encode())

    def send(self, status: int, content_type: str, said: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


def take_time(body: dict[str, Any]) -> None:
    prompt = str(body["messages"][-1]["content"] if "messages" in body else body.get("prompt"))
    if "HELD" in prompt:
        while not WEIGHTS.stat().st_size:
            time.sleep(0.01)
    elif number := re.search(r"\d+(\.\d+)?", prompt):
        time.sleep(float(number[0]))


def load() -> None:
    time.sleep(LOAD_SECONDS)
    ballast.extend(b"x" * (MEMORY_MIB << 20))
    if FATAL:
        code, exit_code = FATAL.split()
        print(json.dumps({"fatal": code, "message": f"scripted to fail with {code}"}), file=sys.stderr, flush=True)
        os._exit(int(exit_code))
    with lock:
        state.update(status="ready", ended_at=time.monotonic())
    print("loaded", flush=True)


def drain(*_: object) -> None:
    def finish() -> None:
        while state["in_flight"]:
            time.sleep(0.01)
        os._exit(0)

    state["status"] = "draining"
    threading.Thread(target=finish).start()


signal.signal(signal.SIGTERM, drain)
threading.Thread(target=load, daemon=True).start()
if CRASH_AFTER_SECONDS:
    threading.Timer(float(CRASH_AFTER_SECONDS), os._exit, (1,)).start()
ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()  # noqa: S104  # in its container
