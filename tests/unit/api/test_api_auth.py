import pytest
from pydantic import ValidationError
from starlette.datastructures import Headers

from api.auth import Caller, is_key_required, presented_key
from common.settings import Settings


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"authorization": "Bearer k1"}, "k1"),
        ({"authorization": "bearer  k1 "}, "k1"),
        ({"x-api-key": "k2"}, "k2"),
        ({"authorization": "Bearer k1", "x-api-key": "k2"}, "k1"),
        ({"authorization": "Basic dXNlcg==", "x-api-key": "k2"}, "k2"),
        ({"authorization": "Basic dXNlcg=="}, None),
        ({"authorization": "Bearer"}, None),
        ({"x-api-key": ""}, None),
        ({}, None),
    ],
)
def test_where_a_key_is_looked_for(headers: dict[str, str], key: str | None) -> None:
    assert presented_key(Headers(headers)) == key


@pytest.mark.parametrize(
    ("host", "auth", "insecure", "is_required"),
    [
        ("127.0.0.1", "auto", False, False),
        ("localhost", "auto", False, False),
        ("::1", "auto", False, False),
        ("127.0.0.1", "required", False, True),
        ("192.0.2.7", "auto", False, True),
        ("10.0.0.5", "auto", False, True),
        ("192.0.2.7", "auto", True, False),
        ("192.0.2.7", "required", True, True),
    ],
)
def test_keys_are_required_beyond_loopback_and_wherever_they_are_asked_for(
    host: str, auth: str, insecure: bool, is_required: bool
) -> None:
    settings = Settings.model_validate({"ultra_host": host, "ultra_auth": auth, "ultra_insecure": insecure})
    assert is_key_required(settings) == is_required


def test_a_key_sees_its_own_and_an_admin_everybodys() -> None:
    assert Caller("k1", frozenset({"read"})).sees == "k1"
    assert Caller("k1", frozenset({"admin"})).sees is None


def test_admin_may_everything_and_others_what_their_scopes_say() -> None:
    assert Caller("k1", frozenset({"admin"})).may("submit")
    assert Caller("k1", frozenset({"read"})).may("read")
    assert not Caller("k1", frozenset({"read"})).may("submit")


def test_whoever_comes_without_a_key_is_no_admin() -> None:
    assert Caller().sees == ""


def test_an_auth_that_does_not_exist_stops_the_start() -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"ultra_auth": "off"})
