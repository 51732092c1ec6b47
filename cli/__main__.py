"""`python -m cli` is `ultra`: how the embedded stack starts its own programs, whatever the PATH."""

from cli.main import app

app(prog_name="ultra")
