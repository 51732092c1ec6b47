"""Routes: parse, hand on, answer."""
