"""A project with a champion in a real registry, and windows of texts to monitor."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from atnet import files
from atnet.config import MonitorConfig, Params
from atnet.inference import model_hash
from atnet.monitoring import monitor as monitor_module
from atnet.monitoring import window_report
from atnet.monitoring.champion import Champion
from atnet.monitoring.window_checks import CheckedWindow
from atnet.monitoring.window_comparison import ReferenceFeatures
from atnet.registry.versions import (
    CHALLENGER,
    CHAMPION,
    Registry,
    aliases,
    ensure_registered_model,
    open_registry,
    register,
    set_alias,
)
from atnet.storage import load_params
from atnet.tracking.publishing import publish_from_files
from tests.settings import LABELED, params_file
from tests.texts import Language, labeled_texts
from tests.wordmodels import train_word_model, write_word_project

NOW = datetime(2026, 11, 4, 2, tzinfo=UTC)
SETTINGS = {
    **LABELED,
    "data": {"path": "data/own.csv"},
    "monitor": {
        "min_window_rows": 30,
        "max_window_rows": 60,
        "max_reference_rows": 300,
        "null_samples": 150,
        "bootstrap_samples": 100,
        "cooldown_windows": 3,
        "min_new_rows": 50,
    },
}


class MonitoredProject:
    """A project whose champion is a word model."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loaded: dict[int | None, Champion] = {}
        self.features: dict[str, ReferenceFeatures] = {}
        self.registry: Registry = open_registry(self.params.tracking, root)

    @property
    def params(self) -> Params:
        return load_params(self.root / "params.yaml")

    @property
    def folder(self) -> Path:
        return self.root / self.params.monitor.output_folder

    def release(self, *, rows: int = 1500, alias: str = CHAMPION) -> int:
        """Train a model, publish it and give it an alias; return its version."""
        train_word_model(self.root, self.params, rows=rows)
        publish_from_files(self.params, self.root)
        ensure_registered_model(self.registry)
        version = register(self.registry, model_hash(self.root / files.MODEL))
        set_alias(self.registry, alias, version.number)
        return version.number

    def release_challenger(self) -> int:
        """Train a weaker model and make it the challenger."""
        return self.release(rows=60, alias=CHALLENGER)

    def window(self, name: str, texts: pd.DataFrame, *, labels: bool = False) -> Path:
        """Write a file of texts."""
        path = self.root / f"{name}.csv"
        texts[["text", "label"] if labels else ["text"]].to_csv(path, index=False)
        return path


def monitor_quickly(project: MonitoredProject, patch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of a window's time: loading the same champion again, checks, figures, MLflow runs."""
    load_champion, reference_features = monitor_module.load_champion, monitor_module.reference_features

    def load_once(params: Params, root: Path) -> Champion:
        number = aliases(project.registry).get(CHAMPION)
        if number not in project.loaded:
            project.loaded[number] = load_champion(params, root)
        return project.loaded[number]

    def compute_once(champion: Champion, config: MonitorConfig) -> ReferenceFeatures:
        if champion.sha256 not in project.features:
            project.features[champion.sha256] = reference_features(champion, config)
        return project.features[champion.sha256]

    patch.setattr(monitor_module, "load_champion", load_once)
    patch.setattr(monitor_module, "reference_features", compute_once)
    patch.setattr(monitor_module, "check_window", lambda *_: CheckedWindow([], {}))
    patch.setattr(monitor_module, "track_windows", lambda *_: "no run")
    patch.setattr(window_report, "_figures", lambda *_: {})


def usual_texts(rows: int, seed: int) -> pd.DataFrame:
    """Generate texts like those that the champion was trained on."""
    return labeled_texts(rows, "en", seed=1000 + seed)


def new_texts(rows: int, seed: int, language: Language = "pt") -> pd.DataFrame:
    """Generate texts of another kind."""
    return labeled_texts(rows, language, seed=2000 + seed)


def make_monitored_project(root: Path, empty_store: Path) -> MonitoredProject:
    """Write a project, its data and its champion."""
    shutil.copy(empty_store, root / "mlflow.db")
    params_file(root, SETTINGS)
    params = load_params(root / "params.yaml")
    write_word_project(root, params)
    splits = [pd.read_parquet(root / files.split_table(name)) for name in ("train", "validation", "test")]
    pd.concat(splits)[["id", "text", "label"]].to_csv(root / params.data.path, index=False)
    project = MonitoredProject(root)
    project.release()
    return project
