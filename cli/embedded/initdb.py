"""`python -m cli.embedded.initdb BINARIES CLUSTER`: make a cluster with our role and our database in it.

The cluster gets its name last, so a start that was interrupted here leaves nothing that looks finished.
The role's password comes in ULTRA_PASSWORD: a command line is visible to everyone.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from cli.embedded.postgres import DATABASE, ROLE


def main() -> None:
    binaries, cluster = Path(sys.argv[1]), Path(sys.argv[2])
    draft = cluster.with_name("cluster.new")
    shutil.rmtree(draft, ignore_errors=True)
    password_file = cluster.with_name("password.new")
    password_file.touch(mode=0o600)
    password_file.write_text(os.environ["ULTRA_PASSWORD"])
    try:
        subprocess.run(
            [
                str(binaries / "initdb"),
                *("-D", str(draft), "-U", ROLE, f"--pwfile={password_file}", "--auth=scram-sha-256"),
                # The built-in locale is the same on every system, so indexes survive a move.
                *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                "--no-instructions",
            ],
            check=True,
        )
    finally:
        password_file.unlink()
    # Single-user mode, so that a cluster without the database never exists.
    subprocess.run(
        [binaries / "postgres", "--single", "-D", draft, "postgres"],
        input=f"CREATE DATABASE {DATABASE}\n".encode(),
        check=True,
    )
    draft.rename(cluster)


if __name__ == "__main__":
    main()
