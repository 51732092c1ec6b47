"""The broker: does it answer, would it survive a restart, may it forget messages? And who works for it?"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from cli.checks.finding import Finding, fail, ok, warn
from common.lanes import Lane, queue_key
from common.presence import CONSUMES, WORKERS_KEY, worker_key

NAME = "broker"
QUEUES = ("control", "cloud", "local")
CONNECT_SECONDS = 3.0


async def broker(url: str) -> list[Finding]:
    """The server itself, then the workers of each queue."""
    try:
        where = make_url(url).render_as_string(hide_password=True)
        redis = Redis.from_url(
            url, decode_responses=True, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=CONNECT_SECONDS
        )
    except (ArgumentError, ValueError):
        return [fail(NAME, "REDIS_URL is no URL", "redis://:password@host:6379/0")]
    try:
        info: Mapping[str, Any] = await redis.info("server")
        server = "Valkey" if "valkey_version" in info else "Redis"
        version = info.get("valkey_version") or info.get("redis_version", "of unknown version")
        return [ok(NAME, f"{server} {version} at {where}"), *await _keeping(redis), *await _workers(redis)]
    except (RedisError, OSError) as error:
        return [fail(NAME, f"{where}: {error}", "start it, or correct REDIS_URL")]
    finally:
        await redis.aclose()


async def _keeping(redis: Redis) -> list[Finding]:
    """What it does with messages when it restarts, and when its memory is full."""
    try:
        set_to = {**await redis.config_get("appendonly"), **await redis.config_get("maxmemory-policy")}
    except RedisError:
        return [warn("broker settings", "the server does not show them", "see that appendonly is yes")]
    return judge_keeping(set_to.get("appendonly") or "no", set_to.get("maxmemory-policy") or "unknown")


def judge_keeping(appendonly: str, policy: str) -> list[Finding]:
    """No job is ever lost with the broker: what it forgets is rung for again, some seconds later."""
    return [
        ok("broker persistence", "append-only file on")
        if appendonly == "yes"
        else warn("broker persistence", "append-only file off: a restart delays jobs", "set appendonly yes"),
        ok("broker memory", "noeviction")
        if policy == "noeviction"
        else warn("broker memory", f"{policy}: messages may be evicted", "set maxmemory-policy noeviction"),
    ]


async def _workers(redis: Redis) -> list[Finding]:
    names = [str(name) for name in await redis.smembers(WORKERS_KEY)]
    records = await redis.mget([worker_key(name) for name in names]) if names else []
    waiting = {queue: sum([await redis.llen(queue_key(queue, lane)) for lane in Lane]) for queue in QUEUES}
    return judge_workers([orjson.loads(record) for record in records if record], waiting)


def judge_workers(records: list[dict[str, Any]], waiting: Mapping[str, int]) -> list[Finding]:
    """`records` are the workers' own; `waiting` counts the messages of each queue."""
    consumers = Counter(queue for record in records if record.get(CONSUMES) for queue in record["queues"])
    idle = Counter(queue for record in records if not record.get(CONSUMES) for queue in record["queues"])
    findings = []
    for queue in QUEUES:
        name = f"workers of {queue}"
        found = f"{consumers[queue]}, {waiting.get(queue, 0)} messages waiting"
        if idle[queue]:
            found += f"; {idle[queue]} more do not prove to consume it"
        if consumers[queue] and not idle[queue]:
            findings.append(ok(name, found))
        elif idle[queue]:
            verdict = warn if consumers[queue] else fail
            findings.append(verdict(name, found, "wait ULTRA_CANARY_SECONDS: they end, to be started again"))
        else:
            findings.append(fail(name, found, f"start one: `ultra worker {queue}`, or `ultra worker` for all queues"))
    return findings
