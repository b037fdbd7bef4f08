"""Fetch the version that scores from the registry, in a separate process.

MLflow takes 200 MB that are not needed for scoring; they are freed when the process ends.
"""

import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from atnet.config import TrackingConfig
from atnet.errors import ProcessInterrupted, ReleaseError
from atnet.scoring.manifest import ScoringModel


def fetch_model(tracking: TrackingConfig, root: Path, alias: str, folder: Path) -> ScoringModel:
    """Download the version under an alias into an empty folder and verify its files.

    Raises:
        ReleaseError: if there is no such version.
        ModelError: if its files are damaged or cannot be fetched.
        StoreError: if the registry does not answer.
        ProcessInterrupted: if the process was killed.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        try:
            return process.submit(_fetch, tracking, root, alias, folder).result()
        except BrokenProcessPool:
            raise ProcessInterrupted(
                "The process that fetches the model was killed. The system does this when memory runs out; free some "
                "memory and run the command again."
            ) from None


def _fetch(tracking: TrackingConfig, root: Path, alias: str, folder: Path) -> ScoringModel:
    # Here only: MLflow must not be loaded in the process that scores.
    from atnet.registry.artifacts import verified_files
    from atnet.registry.versions import CHAMPION, aliased, aliases, open_registry

    registry = open_registry(tracking, root)
    version = aliased(registry, alias)
    if version is None and alias != CHAMPION:
        present = ", ".join(sorted(aliases(registry))) or "none"
        raise ReleaseError(f"{registry.model} has no alias {alias!r}. Its aliases: {present}. Choose one with --alias.")
    if version is None:
        raise ReleaseError(
            f"{registry.model} has no {alias}, so there is no model to score with. Release one first: "
            "`make pipeline`, then `atnet release`."
        )
    with verified_files(registry, version) as files:
        shutil.copytree(files, folder, dirs_exist_ok=True)
    return ScoringModel(registry.model, version.number, version.sha256, folder)
