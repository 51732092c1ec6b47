"""The statements by which people are shown what the fleet runs on."""

from sqlalchemy import TextClause, text

from common.fleet.contracts import NODE_LOST_SECONDS

_NODES = text(
    """
    SELECT name, limit_bytes, free_bytes, available_bytes, seen_at,
           seen_at > now() - make_interval(secs => :seconds) AS is_live
    FROM nodes ORDER BY name
    """
).bindparams(seconds=NODE_LOST_SECONDS)
_GPUS = text("SELECT * FROM gpus ORDER BY node, index")


def nodes() -> TextClause:
    """The machines with a lifecycle worker, those that are lost too until they are forgotten."""
    return _NODES


def gpus() -> TextClause:
    """Their GPUs, as they were seen last."""
    return _GPUS
