"""What the clients here ask for, and how they tell the test what they met: a line of JSON for each fact."""

import json
import sys
from typing import Any

MODEL = "scripted-capable"
BREAKING = "scripted-breaking"
NOBODY = "nobody"

HELLO = "Tell me a story."
WEATHER = "What is the weather?"


def tell(name: str, fact: Any) -> None:
    print(json.dumps([name, fact]), file=sys.__stdout__, flush=True)


def weather(town: str) -> str:
    """The weather of a town."""
    tell("called", {"town": town})
    return "Rain."
