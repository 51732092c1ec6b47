import pytest

from common.providers.http import Proxies, http_client

PROXIES = Proxies(http="http://plain:3128", https="http://secure:3128", exempt="intern.example, .lab")


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://models.example/v1", "http://plain:3128"),
        ("https://models.example/v1", "http://secure:3128"),
        ("https://models.intern.example/v1", None),
        ("https://gpu1.lab:8080/v1", None),
        ("http://127.0.0.1:12434/v1", None),
        ("http://localhost:12434/v1", None),
        ("http://[::1]:12434/v1", None),
    ],
)
def test_a_proxy_stands_before_servers_that_are_not_exempt_and_never_before_loopback(
    url: str, proxy: str | None
) -> None:
    assert PROXIES.before(url) == proxy


async def test_a_client_waits_for_a_connection_and_not_for_words() -> None:
    async with http_client("https://models.example/v1") as client:
        assert client.timeout.connect == 5.0
        assert client.timeout.read is None


async def test_the_environment_puts_no_proxy_before_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://elsewhere:3128")
    async with http_client("https://models.example/v1") as client:
        assert not client._mounts
