"""`ultra menu`."""

import os
import sys

from cli.options import DEFAULT_URL, KeyOption, UrlOption


def menu(url: UrlOption = DEFAULT_URL, key: KeyOption = None) -> None:
    """Choose, ask, watch and look back, by questions.

    Ctrl-C goes back a step, and leaves a running analysis running; Ctrl-D leaves the menu. For scripts
    and pipes there are `ultra analyze`, `ultra jobs`, `ultra show` and `ultra models`.
    """
    from cli.exits import NoTerminal

    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        raise NoTerminal

    from cli.client import Client, Server
    from cli.menu.exchange import Exchange
    from cli.menu.menu import Menu
    from cli.menu.questions import Questions

    with Exchange(Client(Server(url, key))) as exchange:
        Menu(Questions(), exchange).run()
