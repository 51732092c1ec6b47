"""One server that speaks OpenAI's interface: bodies out, answers in, its failures as faults."""

from pydantic import SecretStr
from yarl import URL

from api.gateway.aiohttp_transport import AiohttpTransport
from api.gateway.faults import Fault
from api.gateway.plain_transport import PlainTransport
from api.gateway.saying import refused
from api.gateway.transport import NotReached, Reply, Silent, Transport, TransportFault
from common.errors import BadUpstream, ProviderError, Timeout, Unavailable
from common.providers.foreign_errors import presentable
from common.providers.http import Proxies

# Some servers answer an error with a page; the sentence that helps comes early.
MAX_ERROR_BYTES = 16_384
# 2,048 vectors of 3,072 numbers, the most that OpenAI gives at once.
MAX_ANSWER_BYTES = 192 * 1024 * 1024


class Upstream:
    """Sends to one server. Belongs to one event loop; connects to nothing until something is sent."""

    def __init__(self, name: str, base_url: str, key: SecretStr | None, proxies: Proxies) -> None:
        """`base_url` ends before `/chat/completions`."""
        self.name = name
        self._secret = key.get_secret_value() if key else None
        self._transport = _transport(base_url, self._secret, proxies.before(base_url))

    async def post(self, path: str, body: bytes, timeout_seconds: float) -> Reply:
        """The response, whose status is that of an answer; the caller closes it.

        No wait for the server, for the headers or for what follows, takes longer than `timeout_seconds`.

        Raises:
            Fault: there is none.
        """
        try:
            reply = await self._transport.post(path, body, timeout_seconds)
        except TransportFault as error:
            raise self._fault(error, timeout_seconds) from error
        if reply.status != 200:  # noqa: PLR2004
            raise await self._refused(reply, timeout_seconds)
        return reply

    async def whole(self, path: str, body: bytes, timeout_seconds: float) -> bytes:
        """The whole body of an answer.

        Raises:
            Fault: as `post`, or it broke off, or is too large to be one.
        """
        reply = await self.post(path, body, timeout_seconds)
        pieces, size = [], 0
        try:
            while piece := await self.piece(reply, timeout_seconds):
                pieces.append(piece)
                size += len(piece)
                if size > MAX_ANSWER_BYTES:
                    raise Fault(BadUpstream(f"{self.name} sent more than {MAX_ANSWER_BYTES} bytes."))
        finally:
            reply.close()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def piece(self, reply: Reply, timeout_seconds: float) -> bytes:
        """The next of a response, see `Reply.piece`.

        Raises:
            Fault: the connection broke, or was silent for too long.
        """
        try:
            return await reply.piece()
        except TransportFault as error:
            raise self._fault(error, timeout_seconds) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()

    async def _refused(self, reply: Reply, timeout_seconds: float) -> Fault:
        body = b""
        try:
            while len(body) < MAX_ERROR_BYTES and (piece := await reply.piece()):
                body += piece
        except TransportFault as error:
            if not body:
                return self._fault(error, timeout_seconds)
        finally:
            reply.close()
        return refused(self.name, reply.status, reply.headers, body[:MAX_ERROR_BYTES], self._secret)

    def _fault(self, error: TransportFault, timeout_seconds: float) -> Fault:
        detail = presentable(str(error), self._secret)
        made: ProviderError
        if isinstance(error, NotReached):
            made = Unavailable(f"{self.name} cannot be reached: {detail or 'no connection in time'}")
        elif isinstance(error, Silent):
            made = Timeout(f"{self.name} was silent for {timeout_seconds:g} s.")
        else:
            made = BadUpstream(f"{self.name} broke the connection: {detail or 'it gave no reason'}")
        return Fault(made)


def _transport(base_url: str, secret: str | None, proxy: str | None) -> Transport:
    headers = {
        "accept": "application/json",
        # compressed events would wait in the server until a block of them is full
        "accept-encoding": "identity",
        "content-type": "application/json",
        "user-agent": "ultrallm",
    }
    url = URL(base_url)
    if secret and url.raw_user is None:  # a login in the URL goes into the same header, with the adapters too
        headers["authorization"] = f"Bearer {secret}"
    if url.scheme == "http" and proxy is None and url.raw_user is None and not url.raw_query_string:
        return PlainTransport(url, headers)
    return AiohttpTransport(base_url, headers, proxy)
