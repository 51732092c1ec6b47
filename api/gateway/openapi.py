"""What the OpenAPI document says of `/v1`, whose routes FastAPI knows nothing about.

OpenAI's own documentation, and Anthropic's, are the reference of their fields. Here stands what we go by ourselves, and
what we add.
"""

from typing import Any

Json = dict[str, Any]

TAG = {"name": "Gateway", "description": "OpenAI's interface in front of every model of the catalog."}

STRING = {"type": "string"}
NULLABLE = {"type": ["string", "null"]}
SCHEMAS: Json = {
    "GatewayError": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {"message": STRING, "type": STRING, "param": NULLABLE, "code": NULLABLE},
            }
        },
    },
    "MessagesError": {
        "type": "object",
        "required": ["type", "error"],
        "properties": {
            "type": {"const": "error"},
            "error": {
                "type": "object",
                "required": ["type", "message"],
                "properties": {"type": STRING, "message": STRING},
            },
        },
    },
    "GatewayModel": {
        "type": "object",
        "required": ["id", "object", "created", "owned_by"],
        "properties": {
            "id": {**STRING, "description": "What `model` of a request may say."},
            "object": {"const": "model"},
            "created": {"type": "integer"},
            "owned_by": {**STRING, "description": "The provider."},
        },
    },
}
ERROR = {"$ref": "#/components/schemas/GatewayError"}
MESSAGES_ERROR = {"$ref": "#/components/schemas/MessagesError"}
MODEL = {"$ref": "#/components/schemas/GatewayModel"}

MEANINGS = {
    "400": "The request is wrong, or the model cannot do what it asks for; `param` names the parameter.",
    "401": "No valid API key.",
    "403": "The API key lacks the scope, or may not use the model.",
    "404": "No such model.",
    "413": "The body is larger than ULTRA_CHAT_BODY_MIB.",
    "415": "The body does not say it is JSON.",
    "421": "The Host header names another server.",
    "429": "Too much at once, here or at the model's server.",
    "500": "A fault of ours, or of the model's server.",
    "502": "The model's server gave no answer that is one, or refused us.",
    "503": "The model's server is away, or nothing here serves the model.",
    "504": "The model did not answer in time.",
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}}
SERVED: Json = {
    "x-ultra-served-by": {"description": "The model that answered, by its id.", "schema": STRING},
    "x-ultra-attempts": {"description": "Requests to models' servers.", "schema": {"type": "integer"}},
    "x-ultra-overhead-ms": {"description": "What we took beside them.", "schema": {"type": "number"}},
    "x-ultra-cost-usd": {
        "description": "What a whole answer cost, if that is known.",
        "schema": {"type": "number"},
    },
}

MODEL_FIELD: Json = {**STRING, "minLength": 1, "maxLength": 200, "description": "A model's id or an alias."}
COUNT: Json = {"type": "integer", "minimum": 0}
TOKENS_FIELD: Json = {"type": "integer", "minimum": 1}
STREAM_FIELDS: Json = {
    "stream": {"type": ["boolean", "null"], "description": "Answer by server-sent events."},
    "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 128},
}


def paths() -> Json:
    """The paths of `/v1`, a new document each time."""
    message = {"type": "object", "required": ["role"], "properties": {"role": STRING}}
    messages = {"type": "array", "minItems": 1, "items": message}
    chat_example = {"model": "smollm2", "messages": [{"role": "user", "content": "Is water wet?"}]}
    return {
        "/v1/chat/completions": {
            "post": _generating(
                "create_chat_completion",
                "Chat",
                "Parameters reach servers of the same interface untouched. Through an adapter (anthropic, google, "
                "ollama, mocks) what the model's server cannot do is refused by name.",
                {"messages": messages, **STREAM_FIELDS},
                "chat.completion",
                chat_example,
            )
        },
        "/v1/responses": {
            "post": _generating(
                "create_response",
                "Respond",
                "OpenAI's Responses, over chats. Nothing is kept from one request to the next: `input` is the whole "
                "conversation, and what would need a memory is refused by name.",
                {"input": {}, "stream": STREAM_FIELDS["stream"]},
                "response",
                {"model": "smollm2", "input": "Is water wet?"},
            )
        },
        "/v1/messages": {
            "post": _generating(
                "create_message",
                "Chat as with Anthropic",
                "Anthropic's Messages, over chats, for every model. What no chat can say is refused by name.",
                {"messages": messages, "max_tokens": TOKENS_FIELD, "stream": STREAM_FIELDS["stream"]},
                "message",
                {**chat_example, "max_tokens": 100},
                names_kind_by="type",
                error=MESSAGES_ERROR,
            )
        },
        "/v1/messages/count_tokens": {
            "post": {
                **_operation(
                    "count_message_tokens",
                    "Count a prompt's tokens",
                    "As Anthropic does, for models whose own server counts: anthropic, google, mocks. Others are 404.",
                    _json({"type": "object", "required": ["input_tokens"], "properties": {"input_tokens": COUNT}}),
                    tuple(MEANINGS),
                    MESSAGES_ERROR,
                ),
                "requestBody": _body({"messages": messages}, {**chat_example, "model": "mock-a"}),
            }
        },
        "/v1/completions": {
            "post": _generating(
                "create_completion",
                "Complete a text",
                "The interface before chats. Servers that have only chats are asked the prompt as a question.",
                {"prompt": {}, **STREAM_FIELDS},
                "text_completion",
                {"model": "smollm2", "prompt": "Water is"},
            )
        },
        "/v1/embeddings": {
            "post": _generating(
                "create_embedding",
                "Embed texts",
                "One vector a text. No other model stands in for one that fails: its vectors would mean nothing.",
                {"input": {}},
                "list",
                {"model": "mock-a", "input": "Is water wet?"},
            )
        },
        "/v1/models": {
            "get": _operation(
                "list_gateway_models",
                "List models",
                "Every model of the catalog, and those that are made of others. No server is asked.",
                _json({"type": "object", "properties": {"data": {"type": "array", "items": MODEL}}}),
                ("401", "403", "421", "503"),
            )
        },
        "/v1/models/{id}": {
            "get": {
                **_operation(
                    "retrieve_gateway_model",
                    "Show a model",
                    "By its id, which may have slashes and colons, or by an alias.",
                    _json(MODEL),
                    ("401", "403", "404", "421", "503"),
                ),
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": STRING, "example": "smollm2"}],
            }
        },
    }


def _generating(
    name: str,
    summary: str,
    description: str,
    fields: Json,
    kind: str,
    example: Json,
    *,
    names_kind_by: str = "object",
    error: Json = ERROR,
) -> Json:
    answer = _json({"type": "object", "required": [names_kind_by], "properties": {names_kind_by: {"const": kind}}})
    answer["headers"] = SERVED
    if "stream" in fields:
        answer["content"]["text/event-stream"] = {"schema": {}}
    return {
        **_operation(name, summary, description, answer, tuple(MEANINGS), error),
        "requestBody": _body(fields, example),
    }


def _body(fields: Json, example: Json) -> Json:
    required = ["model", *(field for field in fields if field not in STREAM_FIELDS)]
    schema = {"type": "object", "required": required, "properties": {"model": MODEL_FIELD, **fields}}
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def _operation(
    name: str, summary: str, description: str, answer: Json, errors: tuple[str, ...], error: Json = ERROR
) -> Json:
    return {
        "tags": [TAG["name"]],
        "summary": summary,
        "description": description,
        "operationId": name,
        "responses": {"200": answer, **{status: _error(status, error) for status in errors}},
    }


def _json(schema: Json) -> Json:
    return {"description": "Successful Response", "content": {"application/json": {"schema": schema}}}


def _error(status: str, schema: Json) -> Json:
    error = {"description": MEANINGS[status], "content": {"application/json": {"schema": schema}}}
    return {**error, "headers": RETRY_AFTER} if status in {"429", "503"} else error
