"""`docker` for tests: prints what `docker model` prints, and misbehaves as the asked model's name says.

Runs with nothing but the standard library, from a directory of its own: `models.json` there is what has been
pulled, `journal` what was asked, `condition` (if it is there) what is wrong with this Docker. Deadlines of
0.3 s are met by two of these processes, so it starts with few modules: no pathlib, for one.
"""

# ruff: noqa: PTH100, PTH109, PTH110, PTH113, PTH118, PTH120, PTH123, PTH208

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable

HOME = os.path.dirname(os.path.abspath(__file__))
MODELS, JOURNAL, CONDITION = (os.path.join(HOME, name) for name in ("models.json", "journal", "condition"))
PROSE = "Once upon a time two rivers met below a stone."
SAID_BEFORE = "Once upon"
MEGABYTE = 1_000_000

NO_PLUGIN = "docker: unknown command: docker model\n\nRun 'docker --help' for more information\n"
NO_PLUGIN_FLAG = (
    "unknown flag: {flag}\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n\nRun 'docker --help' for more information\n"
)
NO_PLUGIN_20 = "docker: 'model' is not a docker command.\nSee 'docker --help'\n"
NOT_RUNNING = (
    "Docker Model Runner is not running. Please start it and try again.\n\nWhat's next:\n"
    "    Enable Docker Model Runner via the CLI → docker desktop enable model-runner\n"
)


def main() -> None:
    arguments = sys.argv[1:]
    conditions = {"no plugin": _no_plugin, "no plugin, old docker": _old_docker, "not running": _not_running}
    if os.path.exists(CONDITION):
        conditions[_read(CONDITION)](arguments)
    assert arguments.pop(0) == "model"
    command, *rest = arguments
    names = [one for one in rest if not one.startswith("-")] if "--" not in rest else rest[rest.index("--") + 1 :]
    told = sys.stdin.buffer.read().decode() if command == "run" else ""
    _note(command=command, names=names, told=told, files_sent=_files_named(told))
    {"list": _list, "inspect": _inspect, "run": _run, "pull": _pull}[command](*names)


def _note(**entry: object) -> None:
    entry |= {"pid": os.getpid(), "cwd": os.getcwd(), "files": os.listdir(), "variables": sorted(os.environ)}
    with open(JOURNAL, "a") as journal:
        journal.write(json.dumps(entry) + "\n")


def _files_named(prompt: str) -> list[str]:
    """The files that the real command would send to the model: those after an @, and every image."""
    named = [match[2] or match[3] for match in re.finditer(r"""@(?:(["'])(.+?)\1|([^\s"']+))""", prompt)]
    named += re.findall(r"""(?:[A-Za-z]:[/\\]|[/\\]|\./)[^\n"']*?\.(?:jpe?g|png|webp)""", prompt, re.IGNORECASE)
    named += re.findall(r"""["']([^"']+\.(?:jpe?g|png|webp))["']""", prompt, re.IGNORECASE)
    return [path for path in named if os.path.isfile(path)]


def _models() -> list[str]:
    return json.loads(_read(MODELS))


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def _fail(said: str, code: int = 1) -> None:
    sys.stderr.write(said)
    sys.exit(code)


def _say(text: str | bytes) -> None:
    sys.stdout.buffer.write(text.encode() if isinstance(text, str) else text)
    sys.stdout.buffer.flush()


def _no_plugin(arguments: list[str]) -> None:
    flags = [one for one in arguments if one.startswith("--") and one != "--"]
    _fail(NO_PLUGIN_FLAG.format(flag=flags[0]), 125) if flags else _fail(NO_PLUGIN)


def _old_docker(arguments: list[str]) -> None:
    _fail(NO_PLUGIN_20)


def _not_running(arguments: list[str]) -> None:
    _fail(NOT_RUNNING)


def _list() -> None:
    listed = [
        {"id": "sha256:" + name.encode().hex(), "tags": [name], "created": 1, "config": {"format": "gguf"}}
        for name in _models()
    ]
    _say(json.dumps(listed, indent=4) + "\n")


def _inspect(model: str) -> None:
    if model not in _models() and model not in RUNS:
        _fail(f"Failed to get model {model}: {model}: model not found\n")
    _say(json.dumps({"id": "sha256:0", "tags": [model]}) + "\n")


def _run(model: str) -> None:
    RUNS.get(model, _tell)()


def _tell() -> None:
    for word in PROSE.split(" "):
        _say(word + " ")
    _end()


def _end() -> None:
    _say("\n\nToken usage: 12 prompt + 10 completion = 22 total\n")


def _hang() -> None:
    signal.pause()


def _say_and_hang() -> None:
    _say(SAID_BEFORE)
    _hang()


def _go_on() -> None:
    while True:
        _say("word ")
        time.sleep(0.05)


def _with_stubborn_helper() -> None:
    """Like `docker`, which starts its plugin; neither of the two listens to SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _start_helper()
    _say_and_hang()


def _with_escaped_helper() -> None:
    """Its helper is in a group of its own, and holds the pipes."""
    _note(command="escape", helper=_start_helper(start_new_session=True))
    _say_and_hang()


def _leave_helper_behind() -> None:
    """Ends at once; its helper holds the pipes."""
    _start_helper()
    _say(PROSE)


def _start_helper(**options: bool) -> int:
    import subprocess

    return subprocess.Popen([sys.executable, "-IS", "-c", "import signal; signal.pause()"], **options).pid


def _failing(said: str, *, before: str | bytes = "") -> Callable[[], None]:
    def run() -> None:
        _say(before)
        _fail(f"Failed to generate a response: {said}\n")

    return run


def _status(status: int, message: str) -> Callable[[], None]:
    body = json.dumps({"error": {"code": status, "message": message, "type": "some_error"}})
    return _failing(f"error response: status={status} body={body}")


def _saying(text: str | bytes) -> Callable[[], None]:
    return lambda: _say(text)


def _complain_at_length() -> None:
    sys.stderr.write("It is all very difficult. " * 100_000)
    _tell()


RUNS: dict[str, Callable[[], None]] = {
    "rate-limited": _status(429, "Slow down"),
    "server-error": _status(500, "Something went wrong. " * 10_000),
    "overloaded": _status(529, "Overloaded"),
    "away": lambda: _fail(NOT_RUNNING),
    "too-long": _status(400, "the request exceeds the available context size, try increasing it"),
    "no-response": _hang,
    "slow-first-token": _hang,
    "stall": _say_and_hang,
    "disconnect": _failing("error reading response stream: unexpected EOF", before=SAID_BEFORE),
    "broken-json": _failing("error parsing stream response: unexpected end of JSON input", before=SAID_BEFORE),
    "broken-shape": _failing(
        "error parsing stream response: json: cannot unmarshal string into Go struct field", before=SAID_BEFORE
    ),
    "broken-utf8": _saying(SAID_BEFORE.encode() + b"\xff\xfe and so on\n"),
    "endless": _go_on,
    "stubborn": _with_stubborn_helper,
    "escaped": _with_escaped_helper,
    "leaves-helper": _leave_helper_behind,
    "silent": _saying("\n"),
    "coloured": _saying("\x1b[1mBold\x1b[0m and \x1b]8;;https://a.test\x07linked\x1b]8;;\x07.\n"),
    "thinking": _saying("Thinking:\nTwo rivers, hm.\n\n--\n\nThey met.\n"),
    "removed": _saying(
        "Unable to find model 'removed' locally. Pulling from the server.\nDownloaded 1.00MB of 2.00MB\n"
    ),
    "torrent": lambda: [_say("word " * 20_000) for _ in range(1_000)] and None,
    "complaining": _complain_at_length,
}


def _pull(model: str) -> None:
    if model in _models():
        _say("Using cached model: 256.35 MiB\n")
        return
    if model == "absent":
        _fail(
            "Failed to pull model: pulling absent failed with status 404 Not Found: Model not found\n",
        )
    for done in (0, 64, 128, 192, 256):
        _say(f"Downloaded {done:.2f}MB of 256.00MB\n")
    if model == "breaks-off":
        _fail("Failed to pull model: download failed after 4 retries: unexpected EOF\n")
    if model == "slow":
        _hang()
    pulled = [*_models(), model]
    with open(MODELS, "w") as models:
        json.dump(pulled, models)
    _say("Model pulled successfully\n")


main()
