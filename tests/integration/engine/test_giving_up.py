"""The end of the process, in a process to end."""

import subprocess
import sys

from worker.giving_up import GAVE_UP

# Only a failure waits this long.
PATIENCE_SECONDS = 30

GIVE_UP = """
import logging, threading
from worker.giving_up import give_up
logging.basicConfig()
{first}
def drain(): print("drained", flush=True)
def in_flight(): return {in_flight}
def watch(): give_up("silent", drain=drain, drain_seconds=0.1, in_flight=in_flight)
threading.Thread(target=watch).start()
def consumer(): threading.Event().wait()
consumer()
"""


def end(first: str = "", in_flight: int = 0) -> "subprocess.CompletedProcess[str]":
    program = GIVE_UP.format(first=first, in_flight=in_flight)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )


def test_it_says_where_the_consumer_stands_and_last_of_all_why() -> None:
    ended = end()
    assert ended.returncode == GAVE_UP
    assert ended.stdout == "drained\n"
    assert "in consumer" in ended.stderr
    assert "silent; giving up" in ended.stderr.splitlines()[-1]


def test_calls_that_never_end_do_not_keep_it() -> None:
    assert end(in_flight=1).returncode == GAVE_UP


def test_a_log_that_hangs_does_not_keep_it() -> None:
    assert end(first="logging.getLogger().handlers[0].acquire()").returncode == GAVE_UP
