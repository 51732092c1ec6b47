"""What tests/compose/run.sh looks at over HTTP, from the host. Standard library only: the host is bare.

checks.py analyses API COUNT          submit COUNT analyses at once, every one must complete
checks.py flower FLOWER USER:PASSWORD WORKERS
                                      it names the chord's tasks and the workers, and can only be looked at
checks.py model API MODEL_ID          a model in a container is run, asked through both planes, stopped; and started
                                      by a call, then stopped again
"""

import base64
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any

# Mock answers take well under a second; the rest is for a loaded machine.
DEADLINE_SECONDS = 60.0

# The specification's own example.
EXAMPLE = {
    "prompt": "Explain quantum computing",
    "analysis_type": "comparative",
    "models": ["openai-gpt4o", "anthropic-claude"],
    "output_format": "json",
}


def request(url: str, body: object = None, *, login: str = "", within: float = 10) -> tuple[int, Any]:
    """Status and parsed JSON (None where the body is none); an error status is an answer too."""
    headers = {"Content-Type": "application/json"}
    if login:
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, headers)  # noqa: S310  # our own http:// addresses
    try:
        with urllib.request.urlopen(asked, timeout=within) as answer:  # noqa: S310
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, None


def eventually(look: Callable[[], Any], what: str) -> Any:
    """What `look` returns once it is true; the test ends where it does not become so in time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (seen := look()):
        if time.monotonic() > deadline:
            sys.exit(f"not within {DEADLINE_SECONDS:g} s: {what}")
        time.sleep(0.2)
    return seen


def submit(api: str) -> str:
    status, job = request(f"{api}/api/analyze", EXAMPLE)
    if status != 202:
        sys.exit(f"POST /api/analyze answered {status}: {job}")
    return str(job["id"])


def finished(api: str, job_id: str) -> Any:
    _, job = request(f"{api}/api/analysis/{job_id}")
    return job if job["status"] not in {"queued", "running"} else None


def analyses(api: str, count: int) -> None:
    job_ids = [submit(api) for _ in range(count)]
    for job_id in job_ids:
        job = eventually(partial(finished, api, job_id), f"the end of analysis {job_id}")
        answered = {answer["model"] for answer in job["answers"] if answer["text"]}
        if job["status"] != "completed" or not answered >= {"openai-gpt4o"} or len(answered) < 2:
            sys.exit(f"analysis {job_id}: {json.dumps(job, indent=1)}")
    print(f"{count} of {count} analyses completed")


def flower(address: str, login: str, workers: int) -> None:
    def tasks(field: str) -> set[str]:
        return {task[field] for task in request(f"{address}/api/tasks", login=login)[1].values() if task[field]}

    def online() -> Any:
        _, known = request(f"{address}/api/workers?status=true", login=login)
        return known if sum(known.values()) == workers else None

    eventually(lambda: tasks("name") >= {"call.run", "job.advance"}, "call.run and job.advance in Flower")
    print("tasks: " + ", ".join(sorted(tasks("name"))))
    print("workers: " + ", ".join(sorted(eventually(online, f"{workers} workers online in Flower"))))
    eventually(lambda: len(tasks("worker")) == workers, f"tasks of all {workers} workers in Flower")

    expected = {
        "the API without a password": (request(f"{address}/api/tasks")[0], 401),
        "the API with a wrong password": (request(f"{address}/api/tasks", login="ultra:wrong")[0], 401),
        "a canary, which is nobody's work,": ("canary" in tasks("name"), False),
        "starting a task": (request(f"{address}/api/task/send-task/call.run", {}, login=login)[0], 403),
    }
    for what, (status, wanted) in expected.items():
        if status != wanted:
            sys.exit(f"Flower: {what} answered {status}, not {wanted}")


def operation(api: str, what: str, model_id: str) -> None:
    """Ask for it, and wait until it is so."""
    status, begun = request(f"{api}/{what}", {"model_id": model_id})
    if status != 202:
        sys.exit(f"POST /{what} answered {status}: {begun}")

    def ended() -> Any:
        _, now = request(f"{api}/operations/{begun['operation_id']}")
        return now if now["finished_at"] else None

    end = eventually(ended, f"the end of /{what}")
    if end["status"] != "completed":
        sys.exit(f"/{what}: {json.dumps(end, indent=1)}")


def inference(api: str, model_id: str, *, is_cold: bool) -> None:
    asked = {"model_id": model_id, "prompt": "Say hello.", "max_tokens": 8}
    status, answer = request(f"{api}/inference", asked, within=DEADLINE_SECONDS)
    if status != 200 or not answer["response"] or answer["cold_start"] is not is_cold:
        sys.exit(f"POST /inference answered {status}: {answer}")
    start = f", after {answer['cold_start_ms']:.0f} ms to start" if is_cold else ""
    print(f"/inference: {answer['response']!r} in {answer['latency_ms']:.0f} ms{start}")


def model(api: str, model_id: str) -> None:
    eventually(lambda: request(f"{api}/status")[1]["host"]["nodes"], "a node in /status")
    operation(api, "run", model_id)
    inference(api, model_id, is_cold=False)
    chat = {"model": model_id, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
    status, answer = request(f"{api}/v1/chat/completions", chat, within=DEADLINE_SECONDS)
    if status != 200 or not answer["choices"][0]["message"]["content"]:
        sys.exit(f"POST /v1/chat/completions answered {status}: {answer}")
    operation(api, "stop", model_id)
    inference(api, model_id, is_cold=True)
    operation(api, "stop", model_id)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["analyses", api, count]:
            analyses(api, int(count))
        case ["flower", address, login, workers]:
            flower(address, login, int(workers))
        case ["model", api, model_id]:
            model(api, model_id)
        case _:
            sys.exit(__doc__)
