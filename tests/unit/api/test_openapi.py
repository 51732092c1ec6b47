from typing import Any

import pytest

from api.gateway.app import MODELS, PREFIX
from api.gateway.dialects import COUNT_TOKENS, DIALECTS
from api.gateway.kinds import CHAT, COMPLETION, EMBEDDING
from api.main import create_app
from common.settings import Settings

SCHEMA: dict[str, Any] = create_app(Settings()).openapi()
OPERATIONS = [
    pytest.param(operation, id=f"{method} {path}")
    for path, methods in SCHEMA["paths"].items()
    for method, operation in methods.items()
]
OPEN = {"health", "live", "ready"}
NATIVE = [one for one in OPERATIONS if one.values[0]["tags"] != ["Gateway"]]
GATEWAY = [one for one in OPERATIONS if one not in NATIVE]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_described(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"]
    assert operation["operationId"].isidentifier()


@pytest.mark.parametrize("operation", GATEWAY)
def test_the_gateway_tells_its_errors_in_the_words_of_whose_interface_it_is(operation: dict[str, Any]) -> None:
    errors = [response for status, response in operation["responses"].items() if int(status) >= 400]
    schemas = [response["content"]["application/json"]["schema"]["$ref"] for response in errors]
    is_anthropic = operation["operationId"] in {"create_message", "count_message_tokens"}
    name = "MessagesError" if is_anthropic else "GatewayError"
    assert set(schemas) == {f"#/components/schemas/{name}"}


def test_every_path_of_the_gateway_is_shown() -> None:
    kinds = {PREFIX + kind.path for kind in (CHAT, COMPLETION, EMBEDDING)}
    shown = {path for path in SCHEMA["paths"] if path.startswith(f"{PREFIX}/")}
    assert shown == kinds | DIALECTS.keys() | {COUNT_TOKENS, MODELS, f"{MODELS}/{{id}}"}


@pytest.mark.parametrize("operation", NATIVE)
def test_every_operation_tells_its_errors_as_problems(operation: dict[str, Any]) -> None:
    wanted = {"421"} if operation["operationId"] in OPEN else {"401", "403", "421", "503"}
    assert wanted <= set(operation["responses"])
    for status, response in operation["responses"].items():
        if int(status) >= 400 and operation["operationId"] not in OPEN:
            assert list(response["content"]) == ["application/problem+json"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_response_tells_of_the_request_id(operation: dict[str, Any]) -> None:
    assert all("x-request-id" in response["headers"] for response in operation["responses"].values())


def test_operation_ids_are_unique() -> None:
    ids = [parameter.values[0]["operationId"] for parameter in OPERATIONS]
    assert len(ids) == len(set(ids))


def test_every_reference_leads_somewhere() -> None:
    def references(node: Any) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*(references(one) for one in node.values()))
        return set().union(*(references(one) for one in node)) if isinstance(node, list) else set()

    known = {f"#/components/schemas/{name}" for name in SCHEMA["components"]["schemas"]}
    assert references(SCHEMA) <= known


def test_a_submission_is_shown_by_example() -> None:
    assert SCHEMA["components"]["schemas"]["AnalysisRequest"]["examples"]
    [body] = SCHEMA["paths"]["/api/analyze"]["post"]["requestBody"]["content"].values()
    assert body["schema"]["$ref"].endswith("/AnalysisRequest")


def test_keys_are_documented_and_health_needs_none() -> None:
    assert set(SCHEMA["components"]["securitySchemes"]) == {"bearer", "header"}
    assert SCHEMA["security"]
    assert SCHEMA["paths"]["/health"]["get"]["security"] == []
