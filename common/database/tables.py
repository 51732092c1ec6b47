"""The tables. `migrations/` brings a database to this shape; a test compares the two."""

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ENDED_BADLY = "status IN ('partial', 'failed', 'cancelled')"

jobs = Table(
    "jobs",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("owner", Text, nullable=False, server_default=text("''")),
    Column("status", Text, nullable=False),
    Column("models", JSONB, nullable=False),
    Column("request", JSONB, nullable=False),
    # rounds dispatched so far: the version that competing advances compare and set
    Column("round", Integer, nullable=False, server_default=text("0")),
    # calls of the current round that have no result yet: the fan-in
    Column("pending", Integer, nullable=False, server_default=text("0")),
    Column("total", Integer, nullable=False, server_default=text("0")),
    # json, not jsonb: documents are shown with their fields in the order the workflow gave them
    Column("result", JSON),
    Column("text", Text),
    Column("error", JSONB),
    Column("idempotency_key", Text),
    Column("request_hash", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    # when the sweep rings the broker for this row, unless something happens before
    Column("due_at", DateTime(timezone=True)),
    Column("rings", SmallInteger, nullable=False, server_default=text("0")),
    # the job this one repeats; no foreign key, for retention may have removed it
    Column("retry_of", UUID(as_uuid=True)),
    Index("ix_jobs_owner_id", "owner", "id"),
    Index(
        "uq_jobs_idempotency",
        "owner",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ),
    Index("ix_jobs_due", "due_at", postgresql_where=text("status IN ('queued', 'running')")),
    # Of the operations of a kind on a model one goes on at a time (common/fleet/beginning.py).
    Index(
        "uq_jobs_operation",
        "kind",
        text("(request ->> 'model_id')"),
        unique=True,
        postgresql_where=text("kind IN ('model_run', 'model_stop') AND status IN ('queued', 'running')"),
    ),
    # whose turn it is, and how many an owner has at work
    Index("ix_jobs_live", "owner", "status", "due_at", postgresql_where=text("status IN ('queued', 'running')")),
    # A status change touches every index that covers the row. These cover ended ones alone, so that a job pays
    # once for the first, and for the others only if it ended badly: the few that somebody looks for.
    Index("ix_jobs_finished", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    Index("ix_jobs_status_id", "status", "id", postgresql_where=text(_ENDED_BADLY)),
    Index("ix_jobs_owner_status_id", "owner", "status", "id", postgresql_where=text(_ENDED_BADLY)),
)

calls = Table(
    "calls",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("job_id", UUID(as_uuid=True), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("round", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    # json, not jsonb: a model held to a schema fills its fields in the order they stand there
    Column("request", JSON, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'queued'")),
    # claims so far; each claim's number is its fencing token
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    # what its attempts met, and the model to ask next (common/routing.py); null until something goes wrong
    Column("route", JSONB),
    # workers that fell silent on it: a call that kills its workers is given up
    Column("silences", SmallInteger, nullable=False, server_default=text("0")),
    Column("worker", Text),
    Column("lease_expires_at", DateTime(timezone=True)),
    Column("answer", JSONB),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("due_at", DateTime(timezone=True)),
    Column("rings", SmallInteger, nullable=False, server_default=text("0")),
    UniqueConstraint("job_id", "round", "position"),
    Index("ix_calls_due", "due_at", postgresql_where=text("status = 'queued'")),
    Index("ix_calls_lease", "lease_expires_at", postgresql_where=text("status = 'running'")),
    # calls that were given up because they kept killing their workers
    Index(
        "ix_calls_dead",
        "finished_at",
        postgresql_where=text("status = 'failed' AND answer -> 'error' ->> 'code' = 'dead_lettered'"),
    ),
)

# Append-only, a row a finished call. It refers to nothing: a deleted job was paid for all the same.
usage = Table(
    "usage",
    metadata,
    Column("call_id", UUID(as_uuid=True), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("owner", Text, nullable=False),
    # job or gateway: the first has a job's id, the second its request's
    Column("source", Text, nullable=False, server_default=text("'job'")),
    Column("job_id", UUID(as_uuid=True)),
    Column("request_id", Text),
    Column("kind", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("served_by", Text),
    Column("provider", Text),
    Column("status", Text, nullable=False),
    Column("error_code", Text),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("cached_prompt_tokens", BigInteger),
    # those of the answer's tokens that nobody is shown
    Column("reasoning_tokens", BigInteger),
    # null where no price is known
    Column("cost_usd", Numeric),
    # from the request's start to its first and to its last token; with the tokens between, tokens a second
    Column("time_to_first_token_ms", Double),
    Column("latency_ms", Double),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("cached", Boolean, nullable=False, server_default=text("false")),
    # Rows lie in the order of their times, so that an index of a few pages finds a range of days,
    # and costs an insert next to nothing.
    Index("ix_usage_at", "at", postgresql_using="brin"),
    Index("ix_usage_unpriced", "at", postgresql_where=text("cost_usd IS NULL AND status = 'completed'")),
    # what a key's budget has come to: of calls that cost something, so that those of local models write nothing here
    Index("ix_usage_paid", "owner", "at", postgresql_include=["cost_usd"], postgresql_where=text("cost_usd > 0")),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("name", Text, nullable=False),
    # SHA-256 of the key; the key itself has 256 random bits, so a slow hash would add nothing
    Column("digest", Text, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    # what the key may use (common/contracts/limits.py); null: as much as there is
    Column("models", ARRAY(Text)),
    Column("requests_per_minute", Integer),
    Column("tokens_per_minute", BigInteger),
    Column("parallel_calls", Integer),
    Column("budget_usd", Numeric),
    Column("budget_period", Text, nullable=False, server_default=text("'month'")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("revoked_at", DateTime(timezone=True)),
)

# One row: which installation this database is of. Containers carry it, so that two on one engine keep apart.
installation = Table(
    "installation",
    metadata,
    Column("is_only", Boolean, primary_key=True, server_default=text("true")),
    Column("id", UUID(as_uuid=True), nullable=False, server_default=text("gen_random_uuid()")),
    CheckConstraint("is_only", name="is_only"),
)

# The fleet (common/fleet/contracts.py). A model of the catalog has a row from when it was first asked for.
models = Table(
    "models",
    metadata,
    Column("id", Text, primary_key=True),
    # what was asked for
    Column("is_wanted", Boolean, nullable=False, server_default=text("false")),
    Column("wanted_at", DateTime(timezone=True)),
    Column("queued_at", DateTime(timezone=True)),
    Column("is_forced", Boolean, nullable=False, server_default=text("false")),
    Column("drain_seconds", Double),
    # what came of it: states and reasons are written by the node that claimed it
    Column("node", Text),
    Column("generation", Integer, nullable=False, server_default=text("0")),
    Column("state", Text, nullable=False, server_default=text("'stopped'")),
    Column("reason", Text),
    Column("progress", JSONB),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("failed_at", DateTime(timezone=True)),
    Column("failed_generation", Integer, nullable=False, server_default=text("0")),
    Column("failed_spec", Text),
    Column("fault", JSONB),
    Column("retry_at", DateTime(timezone=True)),
    # the most that an instance was seen to take of its GPUs
    Column("seen_bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("restarts", Integer, nullable=False, server_default=text("0")),
)

# A container, as its node's lifecycle worker last saw it, and what Docker cannot remember of it.
instances = Table(
    "instances",
    metadata,
    Column("container", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("node", Text, nullable=False),
    Column("base_url", Text),
    Column("status", Text, nullable=False),
    Column("gpu_uuids", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("host_bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("gpu_bytes", BigInteger, nullable=False, server_default=text("0")),
    # the runner's last word (RunnerHealth)
    Column("health", JSONB),
    Column("proved_at", DateTime(timezone=True)),
    Column("stop_reason", Text),
    Column("stop_by", DateTime(timezone=True)),
    Column("started_at", DateTime(timezone=True)),
    Column("seen_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Index("ix_instances_model", "model", "generation"),
    Index("ix_instances_node", "node"),
)

# A machine with a lifecycle worker: what its models may take, what of it is free, and when it was last heard of.
nodes = Table(
    "nodes",
    metadata,
    Column("name", Text, primary_key=True),
    # for its models together; for one more of them ever, and now
    Column("limit_bytes", BigInteger, nullable=False),
    Column("capacity_bytes", BigInteger, nullable=False),
    Column("free_bytes", BigInteger, nullable=False),
    Column("available_bytes", BigInteger),
    Column("seen_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)

gpus = Table(
    "gpus",
    metadata,
    Column("uuid", Text, primary_key=True),
    Column("node", Text, nullable=False),
    Column("index", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("total_bytes", BigInteger, nullable=False),
    Column("used_bytes", BigInteger, nullable=False),
    Column("capacity_bytes", BigInteger, nullable=False),
    Column("free_bytes", BigInteger, nullable=False),
    Column("utilisation", Double),
    Column("seen_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Index("ix_gpus_node", "node"),
)

# What happened to models lately, for people.
model_events = Table(
    "model_events",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("model", Text, nullable=False),
    Column("node", Text),
    Column("generation", Integer),
    Column("kind", Text, nullable=False),
    Column("detail", JSONB),
    Index("ix_model_events_model", "model", "id"),
)
