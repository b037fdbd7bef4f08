"""How a worker follows the pointer to the last good copy: load a new version while the old one serves, then swap."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from atnet.errors import ModelError
from atnet.serving.loaded_model import LoadedModel, load_model
from atnet.serving.model_copies import ModelCopies
from atnet.serving.service_metrics import WorkerMetrics
from atnet.serving.state_files import file_stamp

logger = logging.getLogger(__name__)

CHECK_SECONDS = 0.25
"""Time between two checks of the pointer, one call of stat() each."""


@dataclass(frozen=True, slots=True)
class RejectedCopy:
    """A copy that was not loaded."""

    name: str
    reason: str


class ModelReloader:
    """Keeps the model of an alias loaded in this process."""

    def __init__(
        self, copies: ModelCopies, alias: str, metrics: WorkerMetrics, on_model: Callable[[LoadedModel | None], None]
    ) -> None:
        self.model: LoadedModel | None = None
        self.rejected: RejectedCopy | None = None
        self._copies = copies
        self._alias = alias
        self._metrics = metrics
        self._on_model = on_model
        self._stamp: tuple[int, int] | None = None
        self._loaded: Path | None = None
        # A separate thread: neither the event loop nor inference waits for a model to load.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"load-{alias}")

    async def run(self) -> None:
        """Follow the pointer until cancelled."""
        with contextlib.closing(self):
            while True:
                await self.reload_if_changed()
                await asyncio.sleep(CHECK_SECONDS)

    def close(self) -> None:
        """End the loading thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def reload_if_changed(self) -> None:
        """Load the copy that the pointer names, if the pointer has changed since the last check."""
        stamp = file_stamp(self._copies.pointer(self._alias))
        if stamp == self._stamp:
            return
        self._stamp = stamp
        copy = self._copies.current(self._alias)
        if copy is None:
            self._swap(None)
        if copy is None or (copy == self._loaded and self.model is not None):
            self._loaded = copy
            return
        try:
            model = await asyncio.get_running_loop().run_in_executor(self._executor, load_model, copy)
        # OSError: with promotions in quick succession the copy may be deleted meanwhile.
        except (ModelError, OSError) as error:
            self.rejected = RejectedCopy(copy.name, str(error))
            self._metrics.loads["rejected"].inc()
            logger.error("%s The version is not used.", error)
            return
        self.rejected, self._loaded = None, copy
        self._swap(model)

    def _swap(self, model: LoadedModel | None) -> None:
        self.model = model
        self._on_model(model)
        if model is not None:
            self._metrics.loads["ok"].inc()
            fields = {"version": model.version, "sha256": model.sha256}
            logger.info("Version %d is loaded as %s.", model.version, self._alias, extra={"fields": fields})
