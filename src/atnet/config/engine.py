"""Section of the engine that maps functions over batches of rows."""

from typing import Literal

from atnet.config.section import Section


class EngineConfig(Section):
    """Where batches of rows are worked on: `validate`, `split`, `tokenize` and `atnet score`."""

    kind: Literal["local", "spark"]
    master: str | None
    folder: str | None
