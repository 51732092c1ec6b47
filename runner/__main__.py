"""`python -m runner`: serve the model that the environment names. `python -m runner pull …`: fetch weights."""

import os
import sys


def main() -> int:
    """The exit code."""
    if sys.argv[1:2] == ["pull"]:
        from runner.pulling import pull

        return pull(sys.argv[2:])
    from runner.serving import run

    return run(os.environ)


if __name__ == "__main__":
    exit_code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: a thread may be deep in torch, and there is nothing left to put in order.
    os._exit(exit_code)
