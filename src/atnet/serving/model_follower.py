"""How a worker follows the pointer to the last good copy: a new version is loaded aside, checked and swapped in."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from atnet.errors import ModelError
from atnet.serving.files import stamp
from atnet.serving.loaded_model import LoadedModel, load_model
from atnet.serving.metrics import WorkerMetrics
from atnet.serving.model_folder import ModelFolder

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
"""Between two looks at the pointer, one call of stat() each."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A copy that was not swapped in."""

    folder: str
    reason: str


class ModelFollower:
    """Keeps the model of an alias loaded in this process."""

    def __init__(
        self, models: ModelFolder, alias: str, metrics: WorkerMetrics, swap: Callable[[LoadedModel | None], None]
    ) -> None:
        self.model: LoadedModel | None = None
        self.rejected: Rejected | None = None
        self._models = models
        self._alias = alias
        self._metrics = metrics
        self._swap = swap
        self._seen: tuple[int, int] | None = None
        self._loaded: Path | None = None
        # A thread of its own: neither the event loop nor inference waits for a model to load.
        self._loader = ThreadPoolExecutor(1, thread_name_prefix=f"load-{alias}")

    async def run(self) -> None:
        """Follow the pointer until cancelled."""
        with contextlib.closing(self):
            while True:
                await self.look()
                await asyncio.sleep(LOOK_SECONDS)

    def close(self) -> None:
        """End the loading thread."""
        self._loader.shutdown(wait=False, cancel_futures=True)

    async def look(self) -> None:
        """Load what the pointer names, if it has changed since the last look."""
        seen = stamp(self._models.pointer(self._alias))
        if seen == self._seen:
            return
        self._seen = seen
        folder = self._models.pointed(self._alias)
        if folder is None:
            self._take(None)
        if folder is None or (folder == self._loaded and self.model is not None):
            self._loaded = folder
            return
        try:
            model = await asyncio.get_running_loop().run_in_executor(self._loader, load_model, folder)
        # OSError: with promotions in quick succession the folder may be deleted meanwhile.
        except (ModelError, OSError) as error:
            self.rejected = Rejected(folder.name, str(error))
            self._metrics.loads["rejected"].inc()
            logger.error("%s It is not swapped in.", error)
            return
        self.rejected, self._loaded = None, folder
        self._take(model)

    def _take(self, model: LoadedModel | None) -> None:
        self.model = model
        self._swap(model)
        if model is not None:
            self._metrics.loads["ok"].inc()
            fields = {"version": model.version, "sha256": model.sha256}
            logger.info("Version %d answers as %s.", model.version, self._alias, extra={"fields": fields})
