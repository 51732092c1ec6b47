"""`python scripts/pull_modelrunner_models.py --models A,B` is `ultra models pull A,B`."""

from argparse import ArgumentParser

from cli.main import app

if __name__ == "__main__":
    parser = ArgumentParser(description="Fetch models into the Docker Model Runner: see `ultra models pull --help`.")
    parser.add_argument("--models", metavar="A,B", help="AVAILABLE_LOCAL_MODELS if left out")
    models = parser.parse_args().models
    app(["models", "pull", *([models] if models else [])])
