"""The answer in what `docker model run` prints around it.

    [Thinking:                                a model's thoughts, where it has any
    …
    --
    ]the answer[

    Token usage: 5 prompt + 7 completion = 12 total]

Or, before it downloads gigabytes without having been asked: `Unable to find model 'NAME' locally.`
"""

import codecs
import re

from common.contracts.calls import Usage
from common.errors import BadUpstream
from common.providers.ansi import EscapeFilter
from common.providers.docker_model import NAME, missing
from common.storable import StorableStream

MAX_ANSWER_BYTES = 4 * 1024 * 1024

# How Python's `surrogateescape` shows a byte that belongs to no character.
NO_UTF_8 = re.compile("[\udc80-\udcff]")

THINKING = "Thinking:\n"
THOUGHT = "\n\n--\n\n"
USAGE = "\n\nToken usage: "
USAGE_LINE = re.compile(r"\n\nToken usage: (\d+) prompt \+ (\d+) completion = (\d+) total\n?\Z")
# Three numbers of ten digits are shorter: what is longer was the model's own mention of token usage.
LONGEST_USAGE = 120


class Transcript:
    """Fed with the command's output, tells the answer; text that might turn out to be no answer waits."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._pull_notice = f"Unable to find model '{model}' locally"
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._is_broken = False
        self._escapes = EscapeFilter()
        self._storable = StorableStream()
        self._bytes = 0
        self._held = ""
        self._is_begun = False

    def feed(self, piece: bytes) -> str:
        """What is now certain to be the answer's.

        Raises:
            UpstreamModelMissing: the command has set out to download the model.
            BadUpstream: it goes on for longer than MAX_ANSWER_BYTES, or after something that is no UTF-8.
        """
        self._require_whole()
        self._bytes += len(piece)
        if self._bytes > MAX_ANSWER_BYTES:
            raise BadUpstream(f"{NAME} answered with more than {MAX_ANSWER_BYTES:,} bytes.")
        self._held += self._storable.feed(self._escapes.feed(self._decoded(piece)))
        return self._sayable()

    def end(self) -> tuple[str, Usage | None]:
        """The rest of the answer, and the usage if the command told it.

        Raises:
            BadUpstream: there was something that is no UTF-8, or the output ends within a character.
        """
        last = self._escapes.feed(self._decoded(b"", is_last=True)) + self._escapes.end()
        self._require_whole()
        self._held += self._storable.feed(last) + self._storable.end()
        said = self._sayable()
        rest, self._held = self._held, ""
        if told := USAGE_LINE.search(rest):
            prompt_tokens, completion_tokens, total_tokens = map(int, told.groups())
            usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens, total_tokens=total_tokens)
            return said + rest[: told.start()], usage
        return said + rest.removesuffix("\n"), None  # the command ends its output with a line feed of its own

    def _decoded(self, piece: bytes, *, is_last: bool = False) -> str:
        """The text, up to the first byte that is none."""
        text = self._decoder.decode(piece, is_last)
        if broken := NO_UTF_8.search(text):
            self._is_broken = True
            return text[: broken.start()]
        return text

    def _require_whole(self) -> None:
        """An error waits until what was said before it has been handed on."""
        if self._is_broken:
            raise BadUpstream(f"{NAME} printed something that is no UTF-8.")

    def _sayable(self) -> str:
        if not self._is_begun and not self._has_begun():
            return ""
        place = _end_of_sayable(self._held)
        said, self._held = self._held[:place], self._held[place:]
        return said

    def _has_begun(self) -> bool:
        """Whether the answer has: what comes before it is taken off then."""
        if self._held.startswith(self._pull_notice):
            raise missing(self._model)
        if any(notice.startswith(self._held) for notice in (self._pull_notice, THINKING)):
            return False
        if self._held.startswith(THINKING):
            _, end, answer = self._held.partition(THOUGHT)
            if not end:
                return False
            self._held = answer
        self._is_begun = True
        return True


def _end_of_sayable(text: str) -> int:
    """Where the usage line may begin: the command's, or so much of one as has come."""
    place = text.rfind(USAGE)
    if place >= 0 and len(text) - place <= LONGEST_USAGE:
        return place
    for length in range(min(len(text), len(USAGE) - 1), 0, -1):
        if USAGE.startswith(text[-length:]):
            return len(text) - length
    return len(text)
