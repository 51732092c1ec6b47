"""Anthropic's Messages API over chat completions: its SDK works unchanged against every model. Pure."""
