"""The program in a model's container: it loads one model and serves it by HTTP (docs/runner.md)."""
