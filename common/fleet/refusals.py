"""By what a server says that it has done nothing for a call, and that another one may: codes of its error object."""

# It leaves; it is not there yet; its address has changed hands, and another model answers there now.
REFUSALS = frozenset({"draining", "loading", "model_not_found"})
# So many containers of one model may be leaving, one after another, before a call is told: more is no bad luck.
MAX_REFUSALS = 5
