"""The embedded stack: Postgres, Valkey and llama.cpp from PyPI, then our own workers and API, as one process tree.

`plan.py` lists the parts, purely; `supervisor.py` starts, watches and stops any list of parts; `stack.py` is
for programs that want a stack of their own. Kept lean on purpose: the supervisor lives as long as the stack
does, so it imports no pydantic, no typer and no HTTP library.
"""
