"""What a collector hears of the gateway's requests."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from common.settings import Settings
from tests.contract.scripted_server import PROSE, ScriptedServer
from tests.integration.api.serving import serving
from tests.integration.collector import Collector, collecting
from tests.integration.gateway.talking import HELLO, chat, stream
from tests.integration.gateway.upstreams import TEXT

Told = Callable[[], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def models() -> dict[str, Any]:
    return {"scripted-overloaded": {"fallbacks": ["spare-good"]}, "scripted-disconnect": {}, "scripted-endless": {}}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With a council of two."""
    assert settings.ultra_models_path is not None
    catalog = settings.ultra_models_path.read_text()
    settings.ultra_models_path.write_text(catalog.replace("- scripted-good", "- scripted-good\n  - spare-good"))
    return settings


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture
def told(settings: Settings, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Told:
    """An API that tells the collector, which has heard everything when the context ends."""
    monkeypatch.setattr("common.telemetry.exporting.CLOSE_SECONDS", 60.0)
    settings = settings.model_copy(
        update={
            "otel_exporter_otlp_endpoint": collector.url,
            "otel_exporter_otlp_headers": SecretStr("x-team=ours, authorization=Basic%20abc"),
        }
    )
    return lambda: serving(settings)


async def test_a_request_is_a_server_span_with_a_client_span_for_the_upstream_request(
    told: Told, collector: Collector
) -> None:
    async with told() as api:
        response = await chat(api, "good", headers={"x-request-id": "r-1"})

    [served], [asked] = collector.of_kind("server"), collector.of_kind("client")
    assert served.name == "POST /v1/chat/completions"
    assert served.service == "ultrallm-api"
    assert served.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "ultra.request_id": response.headers["x-request-id"],
    }
    assert asked.name == "chat good"
    assert (asked.trace_id, asked.parent_id) == (served.trace_id, served.span_id)
    assert asked.seconds <= served.seconds
    assert asked.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "good",
        "gen_ai.request.stream": False,
        "gen_ai.response.model": "something-else",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": len(PROSE),
        "ultra.model": "scripted-good",
    }


async def test_a_stream_tells_when_its_first_token_came(told: Told, collector: Collector) -> None:
    async with told() as api:
        await stream(api, "good")

    [asked] = collector.of_kind("client")
    first = asked.attributes["gen_ai.response.time_to_first_chunk"]
    assert 0 < first <= asked.seconds
    assert asked.attributes["gen_ai.request.stream"] is True
    assert asked.attributes["gen_ai.usage.output_tokens"] == len(PROSE)
    [measured] = collector.metrics["gen_ai.client.operation.time_to_first_chunk"]
    assert measured.count == 1
    assert measured.total == pytest.approx(first)


async def test_requests_are_measured_by_model_and_by_how_they_ended(told: Told, collector: Collector) -> None:
    async with told() as api:
        await chat(api, "good")
        await chat(api, "good")
        await chat(api, "scripted-overloaded")

    by_end = {
        (point.attributes["gen_ai.provider.name"], point.attributes.get("error.type")): point.count
        for point in collector.metrics["gen_ai.client.operation.duration"]
    }
    assert by_end == {("scripted", None): 2, ("scripted", "unavailable"): 1, ("spare", None): 1}
    tokens = {
        (point.attributes["gen_ai.provider.name"], point.attributes["gen_ai.token.type"]): point.total
        for point in collector.metrics["gen_ai.client.token.usage"]
    }
    assert tokens[("scripted", "input")] == 6
    assert tokens[("scripted", "output")] == 2 * len(PROSE)


async def test_each_model_that_was_asked_in_turn_is_a_span(told: Told, collector: Collector) -> None:
    async with told() as api:
        assert (await chat(api, "scripted-overloaded")).headers["x-ultra-served-by"] == "spare-good"

    failed, answered = sorted(collector.of_kind("client"), key=lambda span: not span.is_error)
    assert failed.attributes["ultra.model"] == "scripted-overloaded"
    assert failed.attributes["error.type"] == "unavailable"
    assert answered.attributes["ultra.model"] == "spare-good"
    assert not answered.is_error
    assert failed.parent_id == answered.parent_id


async def test_what_the_client_traces_goes_on(told: Told, collector: Collector) -> None:
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    async with told() as api:
        await chat(api, "good", headers={"traceparent": f"00-{trace_id}-{span_id}-01"})
        await chat(api, "good", headers={"traceparent": f"00-{trace_id}-{span_id}-00"})  # one that it does not record
        await chat(api, "good", headers={"traceparent": "nonsense"})

    [ours] = [span for span in collector.of_kind("server") if span.trace_id == trace_id]
    assert ours.parent_id == span_id
    assert len(collector.of_kind("server")) == 2


async def test_a_request_that_was_refused_asked_nobody(told: Told, collector: Collector) -> None:
    async with told() as api:
        await chat(api, "no-such-model")
        await api.get("/v1/nothing")

    assert not collector.of_kind("client")
    assert {(span.name, span.attributes["http.response.status_code"]) for span in collector.spans} == {
        ("POST /v1/chat/completions", 404),
        ("GET unmatched", 404),
    }
    assert not any(span.is_error for span in collector.spans)


async def test_a_stream_that_broke_off_is_an_error(told: Told, collector: Collector) -> None:
    async with told() as api:
        with pytest.raises(httpx.RemoteProtocolError):
            await chat(api, "scripted-disconnect", stream=True)

    [asked] = collector.of_kind("client")
    assert asked.is_error
    assert asked.attributes["error.type"] == "bad_upstream"
    assert "gen_ai.response.time_to_first_chunk" in asked.attributes


async def test_a_client_that_left_ends_both_spans(told: Told, collector: Collector, server: ScriptedServer) -> None:
    async with told() as api:
        body = {"model": "scripted-endless", "messages": HELLO, "stream": True}
        async with api.stream("POST", "/v1/chat/completions", json=body) as response:
            await anext(response.aiter_bytes())
        async with asyncio.timeout(60):
            await server.exchanges[0].client_left.wait()

    [asked] = collector.of_kind("client")
    assert asked.attributes["error.type"] == "cancelled"
    assert len(collector.of_kind("server")) == 1


async def test_a_council_is_one_trace(told: Told, collector: Collector) -> None:
    async with told() as api:
        assert (await chat(api, "ultra-compare")).status_code == 200

    [served] = collector.of_kind("server")
    assert len(collector.of_kind("client")) == 3  # two members and the lead
    assert {span.parent_id for span in collector.of_kind("client")} == {served.span_id}


async def test_nothing_of_what_is_asked_or_answered_leaves(told: Told, collector: Collector) -> None:
    async with told() as api:
        await chat(api, "good")
        await stream(api, "good")

    assert collector.raw
    for said in (HELLO[0]["content"], TEXT, "rivers"):
        assert said.encode() not in collector.raw


async def test_the_collector_is_told_what_it_wants_to_be_told(told: Told, collector: Collector) -> None:
    async with told() as api:
        await chat(api, "good")

    assert collector.headers
    for headers in collector.headers:
        assert headers["x-team"] == "ours"
        assert headers["authorization"] == "Basic abc"


async def test_a_collector_that_is_silent_delays_no_request_and_the_end_but_little(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # connects, and never answers
        settings = settings.model_copy(
            update={"otel_exporter_otlp_endpoint": f"http://127.0.0.1:{deaf.getsockname()[1]}"}
        )
        async with serving(settings) as api:
            assert (await chat(api, "good")).status_code == 200
            stopped = time.monotonic()
        assert time.monotonic() - stopped < 8


async def test_a_collector_that_is_away_is_complained_of_seldom(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        async with serving(settings.model_copy(update={"otel_exporter_otlp_endpoint": url})) as api:
            assert (await chat(api, "good")).status_code == 200

    complaints = [record for record in caplog.records if record.name.startswith("opentelemetry.exporter")]
    assert 1 <= len(complaints) <= 2  # one for spans, one for metrics
