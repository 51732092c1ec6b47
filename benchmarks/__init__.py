"""Measurements against a bare peer: `make bench`, or `python -m benchmarks.run --help`."""
