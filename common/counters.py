"""What workers count for everybody, and where: one Redis hash, which the API shows to Prometheus.

Workers listen on no port, and come and go under new names, so none is scraped: each adds what it counted to the
hash every few seconds. A worker that is killed takes the last seconds' counts along, and a flushed Redis begins
again at 0, which Prometheus takes for a restart. Nothing but alerts depends on these figures: what happened to
a job is in Postgres.
"""

from enum import StrEnum

COUNTERS_KEY = "ultra:counters"
FLUSH_SECONDS = 5
# Set anew with each report of a sweep: by Redis' own clock, what is left of its life tells its age.
SWEPT_KEY = "ultra:swept"
SWEPT_LIFE_SECONDS = 86_400


class Count(StrEnum):
    """A counter, by its field in the hash; Prometheus sees `ultra_…_total`. api/recoveries.py says what each means."""

    CLAIMS = "call_claims"
    DUPLICATE_CLAIMS = "call_duplicate_claims"
    STALE_RESULTS = "call_stale_results"
    LEASE_EXPIRIES = "call_lease_expiries"
    RESCUES = "call_rescues"
    DEAD_LETTERS = "calls_dead_lettered"
    SWEEPS = "sweeps"
    SWEEP_CALL_RINGS = "sweep_call_rings"
    SWEEP_JOB_RINGS = "sweep_job_rings"
    SWEEP_TURNS = "sweep_turns"
    MODEL_STARTS = "model_starts"
    MODEL_QUEUE_MILLISECONDS = "model_queue_milliseconds"
    MODEL_LOADS = "model_loads"
    MODEL_LOAD_MILLISECONDS = "model_load_milliseconds"
    MODEL_FAILURES = "model_failures"
    MODEL_REFUSALS = "model_refusals"
    MODEL_EVICTIONS = "model_evictions"
    MODEL_WAITS = "model_waits"
    MODEL_WAIT_MILLISECONDS = "model_wait_milliseconds"
