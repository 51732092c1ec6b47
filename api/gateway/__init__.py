"""The gateway: `/v1`, OpenAI's interface in front of every model. A bare ASGI app, past FastAPI's stack."""
