"""The statements with which both planes ask for models, and see what became of it.

The row of a model is the single flight: however many ask, it is one wish. All times are Postgres' clock.
"""

from collections.abc import Collection

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from common.fleet.contracts import NODE_LOST_SECONDS

NOBODY = "no lifecycle worker is there: run `ultra worker lifecycle` where the containers should be"
"""Why nothing happens to a model."""

# The clock is read once the row is ours, so that of two who ask at once the later one's time stays.
# Since when it queues is kept while the wish is not met yet: who asks again does not go to the end of the line.
_WANT = text(
    """
    INSERT INTO models AS m (id, is_wanted, wanted_at, queued_at, state)
    VALUES (:model, true, clock_timestamp(), clock_timestamp(), 'queued')
    ON CONFLICT (id) DO UPDATE SET
        is_wanted = true, wanted_at = clock_timestamp(), is_forced = false, drain_seconds = NULL,
        queued_at = CASE WHEN m.is_wanted AND m.state IN ('queued', 'pulling', 'starting')
                         THEN m.queued_at ELSE clock_timestamp() END,
        state = CASE WHEN m.state = 'stopped' THEN 'queued' ELSE m.state END,
        reason = CASE WHEN m.state = 'stopped' THEN NULL ELSE m.reason END
    RETURNING m.wanted_at
    """
)

_UNWANT = text(
    """
    UPDATE models SET is_wanted = false, is_forced = :is_forced, reason = NULL,
                      drain_seconds = CAST(:drain_seconds AS float)
    WHERE id = :model
    RETURNING state
    """
)

# Ready is who has a container that proved itself and was not told to stop, whatever the state's row says meanwhile.
# Why a model waits is said by a node; where there is none, nobody else would say that.
_LOOK = text(
    """
    SELECT m.id, m.is_wanted, m.wanted_at, m.node, m.generation, m.state, m.progress, m.fault, m.failures,
           m.failed_at, m.restarts,
           CASE WHEN m.state IN ('stopped', 'failed') OR EXISTS (
               SELECT FROM nodes WHERE seen_at > now() - make_interval(secs => :node_lost_seconds)
           ) THEN m.reason ELSE :nobody END AS reason,
           i.container, i.base_url, i.gpu_uuids, i.host_bytes, i.gpu_bytes, i.health, i.started_at, i.proved_at,
           i.seen_at,
           coalesce(m.state = 'ready' AND i.status = 'running' AND i.stop_by IS NULL
                    AND i.proved_at IS NOT NULL AND i.base_url IS NOT NULL, false) AS is_ready
    FROM models m
    LEFT JOIN instances i ON i.model = m.id AND i.generation = m.generation AND i.node = m.node
    WHERE CAST(:models AS text[]) IS NULL OR m.id = ANY(:models)
    ORDER BY m.id
    """
).bindparams(bindparam("models", type_=ARRAY(Text)), node_lost_seconds=NODE_LOST_SECONDS, nobody=NOBODY)

_LIVE_NODES = text(
    "SELECT name FROM nodes WHERE seen_at > now() - make_interval(secs => :seconds) ORDER BY name"
).bindparams(seconds=NODE_LOST_SECONDS)


def want(model: str) -> TextClause:
    """Ask for a model: it is started, or goes on running. `(wanted_at)` of this asking."""
    return _WANT.bindparams(model=model)


def unwant(model: str, *, is_forced: bool = False, drain_seconds: float | None = None) -> TextClause:
    """Ask for it to stop, within so many seconds or those of its entry. `(state)`; no row if none ever asked for it."""
    return _UNWANT.bindparams(model=model, is_forced=is_forced, drain_seconds=drain_seconds)


def look(models: Collection[str] | None = None) -> TextClause:
    """The rows of these models, or of all, each with its instance; one that nobody ever asked for has no row."""
    return _LOOK.bindparams(models=None if models is None else list(models))


def live_nodes() -> TextClause:
    """`(name)` of the nodes whose lifecycle worker was heard of lately."""
    return _LIVE_NODES
