"""Section `serve`: the online service."""

from typing import Annotated, Literal

from pydantic import Field

from atnet.config.section import PositiveNumber, Section

Count = Annotated[int, Field(ge=1)]


class ServeLimitsConfig(Section):
    """What one request may contain, and how much may wait."""

    max_queued_texts: Count
    max_texts: Count
    max_explained_texts: Count
    max_characters: Count
    max_explained_characters: Count
    max_body_bytes: Count
    max_connections: Count


class ServeTimeoutsConfig(Section):
    """How long the service waits."""

    headers_seconds: PositiveNumber
    request_seconds: PositiveNumber
    keep_alive_seconds: PositiveNumber
    shutdown_seconds: PositiveNumber


class RateLimitConfig(Section):
    """Token bucket of each API key, shared by all workers."""

    texts_per_second: PositiveNumber
    burst: Count


class PredictionLogConfig(Section):
    """Every prediction as a row of Parquet files, one folder per day."""

    folder: str
    include_texts: bool
    flush_seconds: PositiveNumber
    max_buffered_rows: Count
    retention_days: Count


class ShadowConfig(Section):
    """The challenger scores the same texts, off the response path: `atnet serve --shadow`."""

    max_queued_texts: Count
    report_minutes: PositiveNumber


class ServeLoggingConfig(Section):
    """The structured log on standard error."""

    requests: Literal["all", "failed", "none"]
    include_texts: bool


class ServeConfig(Section):
    """The online service, `atnet serve`."""

    host: str
    port: Annotated[int, Field(ge=0, le=65535)]
    workers: Count
    alias: str
    state_folder: str
    poll_seconds: PositiveNumber
    max_batch_tokens: Count
    limits: ServeLimitsConfig
    timeouts: ServeTimeoutsConfig
    rate_limit: RateLimitConfig | None
    prediction_log: PredictionLogConfig | None
    shadow: ShadowConfig
    logging: ServeLoggingConfig
