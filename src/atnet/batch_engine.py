"""Map a function of one batch over many: in this process, or on Spark. The results are the same, in the same order."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from atnet.config import EngineConfig
from atnet.spill import spill_folder

Item = TypeVar("Item")
Result = TypeVar("Result")


class BatchMapper(Protocol):
    """Calls a function with each item; function, items and results must be picklable."""

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """Yield the results in the order of the items."""


@contextlib.contextmanager
def open_engine(config: EngineConfig, root: Path) -> Iterator[BatchMapper]:
    """Yield the mapper of the configured engine.

    Args:
        config: which engine.
        root: the project folder.

    Raises:
        ConfigurationError: if the engine is Spark, and PySpark or Java is missing.
    """
    if config.kind == "local":
        yield map
        return
    # Here only: PySpark is an extra.
    from atnet.spark_engine import spark_mapper

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(spill_folder(shared_root(config, root), "spark"))
        yield stack.enter_context(spark_mapper(config, folder.resolve()))


def shared_root(config: EngineConfig, root: Path) -> Path:
    """Return the folder that all workers of the engine share."""
    return root if config.folder is None else root / config.folder
