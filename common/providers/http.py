"""HTTP clients of the adapters: proxies, limits and time-outs in one place."""

from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # the usual reading of NO_PROXY

import httpx2

from common.providers.bounded import BoundedTransport
from common.providers.resending import ResendingTransport
from common.settings import Settings

CONNECT_TIMEOUT_SECONDS = 5.0
MAX_CONNECTIONS = 1000
MAX_KEPT_CONNECTIONS = 100
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Proxies:
    """Which proxy stands before which server. A proxy never stands before our own loopback."""

    http: str | None = None
    https: str | None = None
    exempt: str = ""

    @classmethod
    def of(cls, settings: Settings) -> "Proxies":
        return cls(settings.http_proxy, settings.https_proxy, settings.no_proxy)

    def before(self, url: str) -> str | None:
        """The URL of the proxy for this server, or None."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host in LOOPBACK_HOSTS or proxy_bypass_environment(host, {"no": self.exempt}):
            return None
        return self.https if parts.scheme == "https" else self.http


def http_client(base_url: str, proxies: Proxies = Proxies()) -> httpx2.AsyncClient:  # immutable
    """A client for one server. It has no read time-out: a request's deadline is the adapter's to keep.

    Connections are kept and used again; a request that meets one which its server has left is sent once
    more, see `ResendingTransport`. No response is without end, see `BoundedTransport`.
    """
    verify = httpx2.create_ssl_context()  # SSL_CERT_FILE counts: companies have authorities of their own
    proxy = proxies.before(base_url)

    def transport(kept: int) -> httpx2.AsyncHTTPTransport:
        limits = httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=kept)
        return httpx2.AsyncHTTPTransport(verify=verify, proxy=proxy, limits=limits)

    resending = ResendingTransport(pooled=transport(MAX_KEPT_CONNECTIONS), fresh=transport(0))
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_SECONDS),
        transport=BoundedTransport(resending),
        # compressed events would wait in the server until a block of them is full, and a small body may be a huge one
        headers={"accept-encoding": "identity"},
        # prompts and keys go where the settings say: httpx takes `authorization` along to no other host, and knows
        # nothing of `x-api-key`
        follow_redirects=False,
        trust_env=False,  # proxies are the settings' alone, which read the environment too
    )
