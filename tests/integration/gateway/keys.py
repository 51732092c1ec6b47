"""What keys look like to the tests that use them."""

from collections.abc import Awaitable, Callable

Headers = dict[str, str]
# Makes a key with these limits: its header.
KeyOf = Callable[..., Awaitable[Headers]]
