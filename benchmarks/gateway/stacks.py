"""Sampled stacks, and where they say that the time goes.

A line is py-spy's raw format: frames from the outermost to the innermost, `name (file:line);…`, and how often.
Native frames are among them: the innermost one names what the interpreter or the kernel does just now.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_FRAME = re.compile(r"^(?P<name>.*) \((?P<file>[^()]*?)(?::\d+)?\)$")
_WAITING = ("epoll_wait", "epoll_pwait")
_SYSTEM_CALLS = ("read", "write", "writev", "send", "sendto", "sendmsg", "recv", "recvfrom", "__GI___writev")
# threads of a pool that wait for work; they are left out
_IDLE_IN = ("concurrent/futures/thread.py", "threading.py", "queue.py")
_MOST_FUNCTIONS = 25


@dataclass(frozen=True, slots=True)
class Frame:
    name: str
    file: str

    @property
    def is_python(self) -> bool:
        return self.file.endswith(".py")

    @property
    def owner(self) -> str:
        """The package: `aiohttp`, or for ours the two first folders, `api/gateway`."""
        folders = self.file.split("/")[:-1]
        if folders and folders[0] in {"api", "common", "benchmarks"}:
            return "/".join(folders[:2])
        return folders[0] if folders else "standard library"


@dataclass(frozen=True, slots=True)
class Share:
    what: str
    percent: float


@dataclass(slots=True)
class Stacks:
    """Percentages of all samples.

    `owners` is whose code the time is spent in, with what the interpreter does on its behalf; `own` the same by
    function; `within` counts a function of ours whenever it is anywhere on the stack.
    """

    owners: Sequence[Share]
    own: Sequence[Share]
    within: Sequence[Share]


def read(lines: Iterable[str]) -> Stacks:
    owners: Counter[str] = Counter()
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    samples = 0
    for line in lines:
        stack, _, number = line.rpartition(" ")
        count = int(number)
        frames = [_frame(text) for text in stack.split(";")]
        innermost = next((frame for frame in reversed(frames) if frame.is_python), None)
        if innermost and innermost.file in _IDLE_IN:
            continue
        samples += count
        task = _task(frames)
        owners[task or (innermost.owner if innermost and _is_inside(frames, innermost) else "uvloop")] += count
        if innermost and not task:
            own[_named(innermost)] += count
        for name in {_named(frame) for frame in frames if frame.owner.startswith(("api/", "common/"))}:
            within[name] += count
    return Stacks(*(_shares(counter, samples) for counter in (owners, own, within)))


def markdown(stacks: Stacks) -> str:
    tables = (
        ("whose code, with the C code below it", stacks.owners),
        ("function, with the C code below it", stacks.own),
        ("function of ours, with all that it calls", stacks.within),
    )
    return "\n\n".join(_table(head, shares) for head, shares in tables if shares)


def _table(head: str, shares: Sequence[Share]) -> str:
    rows = [f"| {share.what} | {share.percent:.1f}% |" for share in shares]
    return "\n".join([f"| {head} | share |", "| --- | --- |", *rows])


def _task(frames: Sequence[Frame]) -> str:
    """What is nobody's code: waiting, the kernel, the garbage collector. Empty if it is somebody's."""
    innermost = frames[-1].name
    if innermost in _WAITING:
        return "waiting for the kernel (epoll)"
    if innermost in _SYSTEM_CALLS:
        return f"system call {innermost}"
    if any(frame.name.startswith("gc_collect") for frame in frames):
        return "garbage collection"
    return ""


def _is_inside(frames: Sequence[Frame], innermost: Frame) -> bool:
    """Whether the innermost Python function is at work, rather than the loop that it runs."""
    return "asyncio/runners.py" not in innermost.file or frames[-1] is innermost


def _frame(text: str) -> Frame:
    found = _FRAME.match(text)
    return Frame(found["name"], found["file"]) if found else Frame(text, "")


def _named(frame: Frame) -> str:
    return f"`{frame.name}` {frame.file}"


def _shares(counter: Counter[str], samples: int) -> list[Share]:
    return [Share(what, 100 * count / samples) for what, count in counter.most_common(_MOST_FUNCTIONS)]
