"""The analyses that an operator adds: read from a JSON file, checked against the catalog, kept current."""
