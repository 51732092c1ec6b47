"""`make demo`: start everything, ask a real model in two ways, compare the answers, stop everything.

Data stays in .ultra/demo, so a second run is quicker. Exits with 0 only if both answers and their comparison came.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from cli.embedded.errors import StackError
from cli.embedded.stack import Stack

DATA_DIR = Path(__file__).parents[1] / ".ultra" / "demo"
MODELS = ("docker_modelrunner-smollm2", "docker_modelrunner-smollm2-creative")
PROMPT = "Why does the moon have phases? Answer in two sentences."
# Enough for two sentences and a comparison, and quick on two cores.
MAX_TOKENS = 160
# Many times what it takes; a demo that hangs must end.
ANALYSIS_SECONDS = 300
# What a .env of the user's might say otherwise: this demonstration is of the embedded model.
REAL_MODELS = {"USE_MOCK": "false", "ENABLE_MODEL_RUNNER": "true", "ULTRA_AUTH": "auto"}


def main() -> int:
    """Run the demonstration; returns the exit code."""
    began = time.monotonic()
    DATA_DIR.parent.mkdir(exist_ok=True)
    print("Starting Postgres, Valkey, llama.cpp, workers and the API:", flush=True)
    try:
        with Stack(DATA_DIR, environment=REAL_MODELS, on_progress=_print) as stack:
            print(f"\n$ ultra analyze {PROMPT!r} --models {','.join(MODELS)}\n", flush=True)
            exit_code = _analyze(stack)
            stopped_with = stack.stop()
    except StackError:
        return 1  # it has said why
    except subprocess.TimeoutExpired:
        print(f"error: no comparison within {ANALYSIS_SECONDS} s", file=sys.stderr)
        return 1
    print(f"\nStopped; {time.monotonic() - began:.1f} s in all. `ultra up` starts the same for you to use.", flush=True)
    return exit_code or stopped_with


def _analyze(stack: Stack) -> int:
    command = [sys.executable, "-P", "-m", "cli", "analyze", PROMPT, "--models", ",".join(MODELS)]
    command += ["--max-tokens", str(MAX_TOKENS), "--url", stack.url]
    # A key in the user's environment belongs to another server.
    environment = {name: value for name, value in os.environ.items() if name != "ULTRA_API_KEY"}
    return subprocess.run(command, env=environment, check=False, timeout=ANALYSIS_SECONDS).returncode


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
