"""The exact-response cache: an equal request's recorded answer, asked for once however many want it.

`AnswerCache.answer` is the whole of it; `key_of` says when two requests are equal.
"""

from common.cache.answers import CachedAnswer, key_of
from common.cache.cache import AnswerCache

__all__ = ["AnswerCache", "CachedAnswer", "key_of"]
