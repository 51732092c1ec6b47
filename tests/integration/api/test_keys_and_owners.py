from uuid import UUID

import httpx
import pytest

from api.auth import refuse_locked_door
from api.database import Database
from common.database import keys
from common.database.connect import connect
from common.errors import ConfigError
from common.ids import uuid7
from common.settings import Settings
from tests.integration.api.acting import ActingWorker
from tests.integration.api.asking import ASKED, code_of, submit
from tests.integration.api.conftest import Serve


async def make_key(worker: ActingWorker, *scopes: str) -> tuple[dict[str, str], UUID]:
    """A key's header, and its id."""
    key, key_id = keys.generate(), uuid7()
    await worker.run(keys.create(key_id, "test", key, list(scopes)))
    return {"Authorization": f"Bearer {key}"}, key_id


async def test_where_keys_are_required_nothing_is_served_without_one(serve: Serve, worker: ActingWorker) -> None:
    async with serve(ultra_auth="required") as api:
        for path in ("/api/analyses", "/api/models", "/api/analysis-types", "/metrics"):
            response = await api.get(path)
            assert (response.status_code, code_of(response)) == (401, "unauthenticated")
            assert response.headers["www-authenticate"].startswith("Bearer")
        assert (await api.post("/api/analyze", json=ASKED)).status_code == 401
        for path in ("/health", "/health/live", "/openapi.json", "/docs"):
            assert (await api.get(path)).status_code == 200
        key, _ = await make_key(worker, "submit", "read")
        job = await submit(api, key)
        assert (await api.get(job["links"]["self"], headers=key)).status_code == 200
        x_api_key = {"X-API-Key": key["Authorization"].removeprefix("Bearer ")}
        assert (await api.get("/metrics", headers=x_api_key)).status_code == 200


async def test_a_wrong_key_is_refused_even_where_none_is_needed(api: httpx.AsyncClient) -> None:
    response = await api.get("/api/models", headers={"X-API-Key": "ultra_wrong"})
    assert response.status_code == 401


async def test_owners_see_their_own_jobs_and_an_admin_everybodys(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    alice, alice_id = await make_key(worker, "submit", "read")
    bob, _ = await make_key(worker, "submit", "read")
    admin, _ = await make_key(worker, "admin")
    job, anonymous = await submit(api, alice), await submit(api)

    async def listed(headers: dict[str, str]) -> list[str]:
        return [one["id"] for one in (await api.get("/api/analyses", headers=headers)).json()["data"]]

    assert await listed(alice) == [job["id"]]
    assert await listed(bob) == []
    assert await listed({}) == [anonymous["id"]]
    assert await listed(admin) == [anonymous["id"], job["id"]]
    for method, path in (
        ("GET", job["links"]["self"]),
        ("GET", job["links"]["events"]),
        ("POST", job["links"]["cancel"]),
        ("DELETE", job["links"]["self"]),
        ("GET", f"/api/jobs/{job['id']}"),
    ):
        assert (await api.request(method, path, headers=bob)).status_code == 404
    assert (await api.get(job["links"]["self"], headers={"If-None-Match": "*"} | bob)).status_code == 404
    assert (await api.get(job["links"]["self"], headers=admin)).status_code == 200
    assert (await api.post(job["links"]["cancel"], headers=admin)).json()["status"] == "cancelled"
    assert alice_id != UUID(int=0)


async def test_idempotency_keys_belong_to_their_owner(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    alice, _ = await make_key(worker, "submit")
    bob, _ = await make_key(worker, "submit")
    same = {"Idempotency-Key": "1"}
    assert (await submit(api, alice | same))["id"] != (await submit(api, bob | same))["id"]


async def test_a_key_does_what_its_scope_says(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    for scope, looks, submits in (
        ("read", 200, 403),
        ("submit", 403, 202),
        ("lifecycle", 403, 403),
        ("admin", 200, 202),
    ):
        key, _ = await make_key(worker, scope)
        assert (await api.get("/api/analyses", headers=key)).status_code == looks
        assert (await api.post("/api/analyze", json=ASKED, headers=key)).status_code == submits


async def test_a_revoked_key_stops_working(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    key, key_id = await make_key(worker, "read")
    await worker.run(keys.revoke(key_id))
    assert (await api.get("/api/analyses", headers=key)).status_code == 401


async def test_a_door_that_is_open_answers_to_its_own_names_only(serve: Serve) -> None:
    async with serve(ultra_allowed_hosts="backend, proxy.example") as api:
        for name in ("backend:8000", "proxy.example", "localhost:1", "127.0.0.1"):
            assert (await api.get("/api/models", headers={"Host": name})).status_code == 200
        response = await api.get("/api/models", headers={"Host": "rebound.example"})
        assert (response.status_code, code_of(response)) == (421, "misdirected_request")


async def test_a_door_with_keys_answers_to_any_name(serve: Serve, worker: ActingWorker) -> None:
    key, _ = await make_key(worker, "read")
    async with serve(ultra_auth="required") as api:
        assert (await api.get("/api/models", headers={"Host": "any.example"} | key)).status_code == 200


async def test_beyond_loopback_a_start_without_keys_is_refused(settings: Settings, worker: ActingWorker) -> None:
    beyond = settings.model_copy(update={"ultra_host": "192.0.2.7"})
    engine = connect(settings.database_url.get_secret_value())
    database = Database(engine)
    try:
        with pytest.raises(ConfigError, match="ultra keys create"):
            await refuse_locked_door(beyond, database)
        await refuse_locked_door(beyond.model_copy(update={"ultra_insecure": True}), database)
        await refuse_locked_door(settings, database)
        await make_key(worker, "read")
        await refuse_locked_door(beyond, database)
    finally:
        await database.close()
