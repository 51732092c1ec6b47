"""`python -m cli.embedded.model_server PORT WEIGHTS PREFIX`: llama.cpp's server until SIGTERM.

It keeps nothing, so the signal's default action, ending at once, is the right one.
"""

import os
import signal
import sys
from typing import Any

from cli.embedded.ports import LOOPBACK

# Two comparisons of the catalog's two entries at once; more calls wait in the server. Each slot has a
# context of its own, as long as the catalog says.
SLOTS = 4
CONTEXT_TOKENS_A_SLOT = 4096
# A model this small gains nothing from more. They sleep while they wait for each other (see model.py), so
# two on two cores are no worse than one on a busy machine: 4 s for 100 tokens against 4 to 11.
THREADS = min(4, os.cpu_count() or 1)
# llama.cpp's levels: 1 is errors.
VERBOSITY = 1


def main() -> None:
    from xllamacpp import Server

    server = Server(parameters(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
    print(f"serving on {server.listening_address}", flush=True)
    while True:
        signal.pause()


def parameters(port: int, weights: str, prefix: str) -> Any:
    """What the server is told."""
    from xllamacpp import CommonParams

    params = CommonParams()
    params.hostnames = [LOOPBACK]
    params.port = port
    params.api_prefix = prefix
    # It asks nobody for a key, and by default lets the pages of every site in a browser here read its answers: now
    # only its own pages may, of which it has none.
    params.cors_origins = f"http://{LOOPBACK}:{port}"
    params.cors_credentials = False
    params.model.path = weights
    params.model_alias = {"ai/smollm2"}
    params.n_parallel = SLOTS
    params.cpuparams.n_threads = THREADS
    params.cpuparams_batch.n_threads = THREADS
    params.n_ctx = SLOTS * CONTEXT_TOKENS_A_SLOT
    # The default may grow to 8 GB of cached prompts.
    params.cache_ram_mib = 0
    params.fit_params = False
    params.ui = False
    params.verbosity = VERBOSITY
    return params


if __name__ == "__main__":
    main()
