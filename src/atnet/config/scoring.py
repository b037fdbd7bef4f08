"""Section of batch scoring."""

from typing import Annotated, Literal

from pydantic import Field

from atnet.config.section import Section


class ScoreConfig(Section):
    """Batch scoring: `atnet score` and the deployment `scoring`."""

    input: str
    output: str
    workers: Annotated[int, Field(ge=1)]
    chunk_rows: Annotated[int, Field(ge=1)]
    after_downtime: Literal["newest", "each"]
