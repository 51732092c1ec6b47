"""OpenAI's Responses API over chat completions, without its memory: nothing is stored between requests. Pure."""
