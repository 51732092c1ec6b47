"""The statements of a lifecycle worker. All times are Postgres' clock.

What is compared with another write is told by `clock_timestamp()`, which is read once the row is ours: `now()` is when
the statement began to wait for it.

Those that decide return a row where they did, and none where somebody else was there first.
"""

from sqlalchemy import BigInteger, DateTime, Integer, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from common.fleet.contracts import NODE_FORGOTTEN_SECONDS

_TIME = DateTime(timezone=True)

INSTALLATION = text(
    """
    INSERT INTO installation DEFAULT VALUES ON CONFLICT (is_only) DO UPDATE SET is_only = true RETURNING id
    """
)

NOW = text("SELECT clock_timestamp() AS now")
MODELS = text("SELECT * FROM models ORDER BY id")
# Of everybody's: a container whose node is lost is looked after by whoever shares its engine.
MEMORIES = text("SELECT container, proved_at, stop_reason, stop_by FROM instances")
PEERS = text(
    """
    SELECT n.name, n.seen_at, n.capacity_bytes, n.free_bytes,
           coalesce(jsonb_agg(jsonb_build_array(g.capacity_bytes, g.free_bytes) ORDER BY g.index)
                    FILTER (WHERE g.uuid IS NOT NULL), '[]') AS gpus
    FROM nodes n LEFT JOIN gpus g ON g.node = n.name
    WHERE n.name <> :node GROUP BY n.name ORDER BY n.name
    """
)

CLAIM = text("UPDATE models SET node = :node WHERE id = :model AND (node IS NULL OR node = :node) RETURNING id")

RELEASE = text("UPDATE models SET node = NULL WHERE id = :model AND node = :node RETURNING id")

RAISE = text(
    """
    UPDATE models SET generation = :generation, restarts = restarts + (failures > 0)::int
    WHERE id = :model AND node = :node AND generation = :generation - 1 AND is_wanted
    RETURNING id
    """
)

RETIRE = text(
    """
    UPDATE models SET is_wanted = false, queued_at = NULL, reason = :reason
    WHERE id = :model AND (node IS NULL OR node = :node) AND is_wanted AND wanted_at IS NOT DISTINCT FROM :wanted_at
    RETURNING id
    """
).bindparams(bindparam("wanted_at", type_=_TIME))

RETIRE_ALL = text(
    """
    UPDATE models SET is_wanted = false, queued_at = NULL, reason = :reason,
                      drain_seconds = CAST(:drain_seconds AS float)
    WHERE node = :node AND is_wanted
    RETURNING id
    """
)

# A wish that came while the last container left is not overwritten: it is planned for next.
SHOW = text(
    """
    UPDATE models SET state = :state, reason = :reason,
        node = CASE WHEN :state = 'stopped' THEN NULL ELSE node END,
        queued_at = CASE WHEN :state IN ('ready', 'stopped') THEN NULL ELSE queued_at END,
        progress = CASE WHEN :state = 'pulling' THEN progress END
    WHERE id = :model AND (node IS NULL OR node = :node) AND (:state <> 'stopped' OR NOT is_wanted)
    RETURNING id
    """
).bindparams(bindparam("state", type_=Text), bindparam("reason", type_=Text))

PROGRESS = text("UPDATE models SET progress = :progress WHERE id = :model AND node = :node RETURNING id").bindparams(
    bindparam("progress", type_=JSONB)
)

RECOVERED = text(
    """
    UPDATE models SET failures = 0, retry_at = NULL, fault = NULL, failed_at = NULL
    WHERE id = :model AND node = :node AND failures > 0
    RETURNING id
    """
)

# Peaks only grow: what an instance once took it will take again.
PEAK = text(
    "UPDATE models SET seen_bytes = :seen_bytes WHERE id = :model AND node = :node AND seen_bytes < :seen_bytes "
    "RETURNING id"
).bindparams(bindparam("seen_bytes", type_=BigInteger))

FAIL = text(
    """
    UPDATE models SET state = :state, reason = :reason, fault = :fault, failures = :failures, retry_at = :retry_at,
        failed_at = clock_timestamp(), failed_spec = :spec, progress = NULL,
        failed_generation = coalesce(:generation, failed_generation)
    WHERE id = :model AND node = :node AND (:generation IS NULL OR failed_generation < :generation)
    RETURNING id
    """
).bindparams(
    bindparam("fault", type_=JSONB),
    bindparam("generation", type_=Integer),
    bindparam("retry_at", type_=_TIME),
    bindparam("spec", type_=Text),
)

REFUSE = text(
    """
    UPDATE models SET state = 'failed', reason = :reason, fault = :fault, failed_at = clock_timestamp(),
        queued_at = NULL, progress = NULL
    WHERE id = :model AND (node IS NULL OR node = :node) AND wanted_at IS NOT DISTINCT FROM :wanted_at
    RETURNING id
    """
).bindparams(bindparam("fault", type_=JSONB), bindparam("wanted_at", type_=_TIME))

# Rows of containers that nobody sees any more go; what is remembered of the others stays.
OBSERVE = text(
    """
    WITH gone AS (
        DELETE FROM instances
        WHERE NOT container = ANY(:seen)
          AND (node = :node OR seen_at < now() - make_interval(secs => :forgotten_seconds))
    )
    INSERT INTO instances AS i (
        container, model, generation, node, base_url, status, gpu_uuids, host_bytes, gpu_bytes, health, started_at,
        seen_at)
    SELECT container, model, generation, node, base_url, status,
           ARRAY(SELECT jsonb_array_elements_text(gpu_uuids)), host_bytes, gpu_bytes, health, started_at, now()
    FROM jsonb_to_recordset(:rows) AS r(
        container text, model text, generation int, node text, base_url text, status text, gpu_uuids jsonb,
        host_bytes bigint, gpu_bytes bigint, health jsonb, started_at timestamptz)
    ON CONFLICT (container) DO UPDATE SET
        base_url = excluded.base_url, status = excluded.status, health = excluded.health,
        started_at = excluded.started_at, seen_at = excluded.seen_at
    """
).bindparams(
    bindparam("rows", type_=JSONB),
    bindparam("seen", type_=ARRAY(Text)),
    bindparam("forgotten_seconds", NODE_FORGOTTEN_SECONDS),
)

PROVED = text(
    "UPDATE instances SET proved_at = clock_timestamp() WHERE container = :container AND proved_at IS NULL "
    "RETURNING container"
)

STOPPING = text(
    """
    UPDATE instances SET stop_reason = coalesce(stop_reason, :reason), stop_by = least(stop_by, :stop_by)
    WHERE container = :container
    RETURNING container
    """
).bindparams(bindparam("stop_by", type_=_TIME))

FORGET = text("DELETE FROM instances WHERE container = :container")

REPORT = text(
    """
    WITH node AS (
        INSERT INTO nodes (name, limit_bytes, capacity_bytes, free_bytes, available_bytes, seen_at)
        VALUES (:node, :limit_bytes, :capacity_bytes, :free_bytes, :available_bytes, now())
        ON CONFLICT (name) DO UPDATE SET limit_bytes = excluded.limit_bytes, capacity_bytes = excluded.capacity_bytes,
            free_bytes = excluded.free_bytes, available_bytes = excluded.available_bytes, seen_at = excluded.seen_at
    ), forgotten AS (
        DELETE FROM nodes WHERE name <> :node AND seen_at < now() - make_interval(secs => :forgotten_seconds)
    ), gone AS (
        DELETE FROM gpus
        WHERE NOT uuid = ANY(:uuids)
          AND (node = :node OR seen_at < now() - make_interval(secs => :forgotten_seconds))
    )
    INSERT INTO gpus (
        uuid, node, index, name, total_bytes, used_bytes, capacity_bytes, free_bytes, utilisation, seen_at)
    SELECT uuid, :node, index, name, total_bytes, used_bytes, capacity_bytes, free_bytes, utilisation, now()
    FROM jsonb_to_recordset(:rows) AS r(
        uuid text, index int, name text, total_bytes bigint, used_bytes bigint, capacity_bytes bigint,
        free_bytes bigint, utilisation float)
    ON CONFLICT (uuid) DO UPDATE SET node = excluded.node, index = excluded.index, name = excluded.name,
        total_bytes = excluded.total_bytes, used_bytes = excluded.used_bytes,
        capacity_bytes = excluded.capacity_bytes, free_bytes = excluded.free_bytes,
        utilisation = excluded.utilisation, seen_at = excluded.seen_at
    """
).bindparams(
    bindparam("rows", type_=JSONB),
    bindparam("uuids", type_=ARRAY(Text)),
    bindparam("available_bytes", type_=BigInteger),
    bindparam("limit_bytes", type_=BigInteger),
    bindparam("capacity_bytes", type_=BigInteger),
    bindparam("free_bytes", type_=BigInteger),
    bindparam("node", type_=Text),
    bindparam("forgotten_seconds", NODE_FORGOTTEN_SECONDS),
)

# A model that fails, or comes and goes, for months must not fill the disk: of each the newest events are kept.
KEPT_EVENTS = 1000

NOTE = text(
    """
    WITH old AS (
        DELETE FROM model_events
        WHERE model = :model
          AND id <= (SELECT id FROM model_events WHERE model = :model ORDER BY id DESC OFFSET :others LIMIT 1)
    )
    INSERT INTO model_events (id, model, node, generation, kind, detail)
    VALUES (:id, :model, :node, :generation, :kind, :detail)
    """
).bindparams(
    bindparam("id", type_=Uuid), bindparam("model", type_=Text), bindparam("generation", type_=Integer),
    bindparam("detail", type_=JSONB(none_as_null=True)), bindparam("others", KEPT_EVENTS - 1),
)  # fmt: skip
