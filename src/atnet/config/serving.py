"""Section of the online service."""

from typing import Annotated, Literal

from pydantic import Field

from atnet.config.section import Section

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class ServeLimitsConfig(Section):
    """What one request may ask for and how much may wait."""

    queued_texts: Count
    """Texts that may wait or be computed per worker, from single texts and lists alike; beyond it requests get 429."""
    texts: Count
    """Texts per request; more get 422."""
    explained_texts: Count
    """Texts per request with `explain: true`; more get 422."""
    explained_characters: Count
    """Characters per text with `explain: true`; more get 422. An explanation takes many answers of the model."""
    characters: Count
    """Characters per text; more get 422."""
    body_bytes: Count
    """Size of a request body in bytes; more get 413."""
    connections: Count
    """Open connections per worker; beyond it requests get 503."""


class ServeTimeoutsConfig(Section):
    """How long the service waits."""

    headers_seconds: Positive
    """For a connection's complete request headers; then the connection is closed."""
    request_seconds: Positive
    """For the body and the answer of one request; then it gets 408 or 503."""
    keep_alive_seconds: Positive
    """For the next request on an open connection."""
    shutdown_seconds: Positive
    """For accepted requests to finish after SIGTERM or Ctrl-C; then the workers are killed."""


class RateLimitConfig(Section):
    """Token bucket of each API key, shared by all workers."""

    texts_per_second: Positive
    """Refill rate of the bucket."""
    burst: Count
    """Size of the bucket: texts a key may send at once; more than that in one request is always refused."""


class PredictionLogConfig(Section):
    """Every answer as a row of Parquet files, one folder per day."""

    folder: str
    """Where the files go, relative to params.yaml."""
    texts: bool
    """Write the text itself beside its SHA-256."""
    flush_seconds: Positive
    """Between two files of a worker; a killed worker loses the rows since its last file."""
    buffered_rows: Count
    """Rows per worker that may wait to be written; beyond it the oldest are dropped and counted."""
    retention_days: Count
    """Days (UTC) after which a day's folder is deleted."""


class ShadowConfig(Section):
    """Scoring the same texts with the challenger, off the response path: `atnet serve --shadow`."""

    queued_texts: Count
    """Texts per worker that may wait for the challenger; beyond it they are skipped and counted."""
    mlflow_minutes: Positive
    """Between two reports of the agreement to MLflow."""


class ServeLoggingConfig(Section):
    """The structured log on standard error."""

    requests: Literal["all", "failed", "none"]
    """Requests that get a line: all, those answered with 4xx or 5xx, or none."""
    texts: bool
    """Write the texts of logged requests too."""


class ServeConfig(Section):
    """The online service, `atnet serve`."""

    host: str
    """Address to listen on; 0.0.0.0 is every network of the machine."""
    port: Annotated[int, Field(ge=0, le=65535)]
    """Port to listen on; 0 picks a free one."""
    workers: Count
    """Processes that answer; each uses about one core and has its own copy of the model."""
    alias: str
    """Alias of the registered model whose version answers."""
    folder: str
    """Downloaded models and the state of the running service, relative to params.yaml."""
    poll_seconds: Positive
    """Between two looks at the alias; varied by a fifth so that several services do not poll at once."""
    batch_tokens: Count
    """Tokens of one batch, padding included."""
    limits: ServeLimitsConfig
    timeouts: ServeTimeoutsConfig
    rate_limit: RateLimitConfig | None
    """Per API key; null: no rate limit."""
    prediction_log: PredictionLogConfig | None
    """null: answers are not logged."""
    shadow: ShadowConfig
    logging: ServeLoggingConfig
