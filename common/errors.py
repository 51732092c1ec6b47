"""Every error this system raises on purpose. A docstring is the default message.

AppError
├── BadRequest                    the caller's fault
│   ├── InvalidInput              422, names the field
│   ├── UnknownAnalysisType       422, lists the known ones
│   ├── IdempotencyConflict       409
│   ├── JobNotFinished            409
│   ├── ModelGone                 409, names the models
│   ├── Unauthenticated           401
│   └── Forbidden                 403
│       └── ModelNotAllowed       names the model
├── NotFound                      404
│   ├── JobNotFound
│   └── ModelNotFound             lists the nearest names
├── Busy                          429, with retry_after
│   └── RateLimitExceeded         a limit of the key, with headers that tell how it stands
│       └── InsufficientQuota     its budget
├── DependencyDown                503, with retry_after
├── ConfigError                   stops the start, one line
├── WorkflowChanged               a recipe changed under a running job
└── ProviderError                 what a model's server did to us; `is_retryable` says whether time helps
    ├── RateLimited               with retry_after
    ├── Timeout
    ├── Unavailable
    ├── BadUpstream               an answer that is no answer
    ├── UpstreamRejected          the server refused our request and will refuse it again
    ├── UpstreamDenied            the server refused us: a wrong key, no credit, no permission
    ├── Unsupported               asked of a server that cannot do this kind of thing
    ├── NotServed                 these settings serve no such model
    ├── UpstreamModelMissing      the server does not have the model
    ├── NotStarted                a model in a container that did not start; says why
    ├── InstanceGone              its container was leaving, and refused the call before it did anything
    ├── ContextTooLong
    └── ContentRefused
"""

from collections.abc import Mapping, Sequence


class AppError(Exception):
    """Something went wrong."""

    code = "error"
    is_retryable = False
    retry_after_seconds: float | None = None

    def __init__(self, message: str | None = None, *, retry_after_seconds: float | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        if retry_after_seconds is not None:
            self.retry_after_seconds = retry_after_seconds
        super().__init__(self.message)


class BadRequest(AppError):
    """The request cannot be understood."""

    code = "bad_request"


class InvalidInput(BadRequest):
    """A field of the request is wrong."""

    code = "invalid_input"

    def __init__(self, message: str, *, field: str) -> None:
        self.field = field
        super().__init__(message)


class UnknownAnalysisType(InvalidInput):
    """No analysis type of that name."""

    code = "unknown_analysis_type"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"No analysis type {name!r}. Known types: {', '.join(known)}.", field="analysis_type")


class IdempotencyConflict(BadRequest):
    """This Idempotency-Key was used with another body: what is new needs a key of its own."""

    code = "idempotency_conflict"


class JobNotFinished(BadRequest):
    """The job has not ended: wait for its end, or cancel it first."""

    code = "job_not_finished"


class ModelGone(BadRequest):
    """The job asks models that the catalog no longer has."""

    code = "model_gone"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"The catalog no longer has {', '.join(names)}: put it back, or submit the prompt anew to other models."
        )


class Unauthenticated(BadRequest):
    """A valid API key is required: send it as `Authorization: Bearer KEY`."""

    code = "unauthenticated"


class Forbidden(BadRequest):
    """This API key lacks the scope."""

    code = "forbidden"


class ModelNotAllowed(Forbidden):
    """This API key may not use the model."""

    # OpenAI's own: 403 with this code is what a project gets that may not use a model. Our models' names are
    # no secret, so that a 404 would hide nothing, and keep whoever made the key from seeing what is wrong.
    code = "model_not_found"

    def __init__(self, model: str, behind: Sequence[str] = ()) -> None:
        """`behind` are the models that it stands for, if it is one that stands for others."""
        what = f"any of those that {model!r} asks ({', '.join(behind)})" if behind else f"the model {model!r}"
        super().__init__(f"This API key may not use {what}: `ultra keys update` can allow it.")


class NotFound(AppError):
    """There is nothing here."""

    code = "not_found"


class JobNotFound(NotFound):
    """No job of that id."""

    code = "job_not_found"


class ModelNotFound(NotFound):
    """No model of that name."""

    code = "model_not_found"

    def __init__(self, name: str, nearest: Sequence[str] = ()) -> None:
        hint = f" Did you mean {', '.join(nearest)}?" if nearest else ""
        super().__init__(f"No model {name!r}.{hint}")


class Busy(AppError):
    """Too much work is waiting."""

    code = "busy"
    is_retryable = True
    retry_after_seconds = 1.0


class RateLimitExceeded(Busy):
    """A limit of this API key is reached."""

    code = "rate_limit_exceeded"

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after_seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.headers = headers or {}
        super().__init__(message, retry_after_seconds=retry_after_seconds)


class InsufficientQuota(RateLimitExceeded):
    """The budget of this API key is spent."""

    code = "insufficient_quota"
    is_retryable = False


class DependencyDown(AppError):
    """A service this needs is away for the moment."""

    code = "dependency_down"
    is_retryable = True
    retry_after_seconds = 2.0


class ConfigError(AppError):
    """The configuration is wrong."""

    code = "config_error"


class WorkflowChanged(AppError):
    """The workflow's code changed while this job ran, so its recorded answers no longer fit."""

    code = "workflow_changed"


class ProviderError(AppError):
    """The model's server failed."""

    code = "provider_error"


class RateLimited(ProviderError):
    """The model's server asks for fewer requests."""

    code = "rate_limited"
    is_retryable = True


class Timeout(ProviderError):
    """The model did not answer in time."""

    code = "timeout"


class Unavailable(ProviderError):
    """The model's server is away."""

    code = "unavailable"
    is_retryable = True


class BadUpstream(ProviderError):
    """The model's server answered with something that is no answer."""

    code = "bad_upstream"
    is_retryable = True


class UpstreamRejected(ProviderError):
    """The model's server refused the request."""

    code = "upstream_rejected"


class UpstreamDenied(ProviderError):
    """The model's server refused our key, our account or our permission."""

    code = "upstream_denied"


class Unsupported(ProviderError):
    """The model's server does not support what was asked."""

    code = "unsupported"


class NotServed(ProviderError):
    """Nothing here serves this model."""

    code = "not_served"


class UpstreamModelMissing(ProviderError):
    """The model's server does not have this model."""

    code = "upstream_model_missing"


class NotStarted(ProviderError):
    """The model could not be started."""

    code = "not_started"
    retry_after_seconds = 10.0


class InstanceGone(ProviderError):
    """The model's container was leaving: it refused the call before it did anything."""

    code = "instance_gone"
    is_retryable = True


class ContextTooLong(ProviderError):
    """The request is longer than the model's context window."""

    code = "context_too_long"


class ContentRefused(ProviderError):
    """The model's server refused the content."""

    code = "content_refused"
