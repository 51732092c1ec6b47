"""`python scripts/test_modelrunner.py --generate` is `ultra models test --generate`, and takes the same options."""

import sys

from cli.main import app

if __name__ == "__main__":
    app(["models", "test", *sys.argv[1:]])
