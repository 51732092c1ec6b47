"""HTTP clients of the adapters: proxies, limits and time-outs in one place."""

from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import (  # the standard library's reading of NO_PROXY
    proxy_bypass_environment,  # type: ignore[attr-defined]
)

import httpx2

from common.settings import Settings

CONNECT_TIMEOUT_SECONDS = 5.0
MAX_CONNECTIONS = 1000
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
    """A client for one server. It has no read time-out: a request's deadline is the adapter's to keep."""
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_SECONDS),
        # llama.cpp closes a connection after a stream without a word, and a request that takes it from the
        # pool in that moment is lost. Without TLS a new connection costs nothing worth that.
        limits=httpx2.Limits(
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=100 if urlsplit(base_url).scheme == "https" else 0,
        ),
        follow_redirects=True,
        proxy=proxies.before(base_url),
        trust_env=False,  # proxies are the settings' alone, which read the environment too
        verify=httpx2.create_ssl_context(),  # SSL_CERT_FILE counts: companies have authorities of their own
    )
