"""`python -m runner.engines.llama_process`: llama.cpp's server, until it is told to end.

A process of its own: the library holds Python's global lock while it loads, and `/health` must answer
meanwhile; and what kills it leaves somebody to say so. It reads its settings as JSON from standard input and
writes one line of JSON: where it listens, or why it does not.
"""

import ctypes
import json
import os
import signal
import sys
from typing import Any

PR_SET_PDEATHSIG = 1
# llama.cpp's levels: 1 is errors.
VERBOSITY = 1
# An embedding is computed in one go, so this many tokens of one text fit; the buffers grow with it.
MOST_TOKENS_AT_ONCE = 2048


def main() -> None:
    asked = json.load(sys.stdin)
    # It ends with whoever started it, who may have ended before the kernel was told.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != asked["parent"]:
        return
    # The parent alone decides about a drain. A terminal's Ctrl-C reaches the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        server = _serve(asked)
    except (ImportError, RuntimeError) as error:
        _say(failed=str(error))
        return
    _say(listening=server.listening_address)
    while True:
        signal.pause()


def _serve(asked: dict[str, Any]) -> Any:
    from xllamacpp import CommonParams, Server, llama_pooling_type

    params = CommonParams()
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.model.path = asked["path"]
    params.model_alias = {asked["alias"]}
    params.n_parallel = asked["slots"]
    # Each slot has a context of its own.
    params.n_ctx = asked["slots"] * asked["context"]
    params.n_batch = params.n_ubatch = min(MOST_TOKENS_AT_ONCE, asked["context"])
    params.cpuparams.n_threads = asked["threads"]
    params.cpuparams_batch.n_threads = asked["threads"]
    # It goes on generating; this adds embeddings.
    params.embedding = True
    params.pooling_type = llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    # The default may grow to 8 GB of cached prompts.
    params.cache_ram_mib = 0
    params.fit_params = False
    params.ui = False
    params.verbosity = VERBOSITY
    return Server(params)


def _say(**words: str) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
