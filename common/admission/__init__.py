"""Admission: what a key may use, and how many calls a model takes at once; both planes go by it."""
