"""Kill a command after one of its writes to the MLflow store, without a separate process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from mlflow import MlflowClient

WRITE_PREFIXES = ("create_", "set_", "delete_", "update_", "log_", "finalize_", "restore_")
WRITES = [name for name in vars(MlflowClient) if name.startswith(WRITE_PREFIXES)]


class Killed(BaseException):
    """Ends a command as a SIGKILL would: nothing catches it."""


@contextmanager
def killed_after(write: int | None) -> Iterator[list[str]]:
    """Raise `Killed` when the given write to the store has been executed; yield the names of the writes."""
    executed: list[str] = []

    def counted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            result = method(*arguments, **options)
            executed.append(name)
            if len(executed) == write:
                raise Killed
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in WRITES:
            patch.setattr(MlflowClient, name, counted(name, getattr(MlflowClient, name)))
        yield executed
