"""A project folder as the stages leave it before `publish`, without running one of them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient

from atnet import files
from atnet.config import Params, TrackingConfig
from tests.tinymodel import write_tiny_model

ROOT = Path(__file__).resolve().parents[1]


def interval(value: float, half: float = 0.02) -> dict[str, float]:
    """Return a score with bounds, as in metrics.json."""
    return {"value": value, "low": round(value - half, 6), "high": round(value + half, 6)}


METRICS: dict[str, Any] = {
    "rows": 40,
    "accuracy": interval(0.84),
    "macro_f1": interval(0.83),
    "roc_auc": interval(0.91),
    "log_loss": interval(0.38),
    "calibration": {"temperature": 1.1, "error_before": 0.05, "error_after": 0.02, "log_loss_before": 0.4},
    "baselines": {
        "majority": {"accuracy": 0.55, "macro_f1": 0.35},
        "nb_svm": {"accuracy": 0.8, "macro_f1": 0.79},
    },
    "lead": {"over": "nb_svm", "accuracy": interval(0.04), "macro_f1": interval(0.04), "mcnemar_p": 0.03},
}
DETAILS: dict[str, Any] = {
    "labels": {
        "negative": {"support": 18, "precision": 0.82, "recall": 0.84, "f1": interval(0.83)},
        "positive": {"support": 22, "precision": 0.86, "recall": 0.84, "f1": interval(0.85)},
    },
    "baselines": {
        "majority": {"accuracy": interval(0.55), "macro_f1": interval(0.35)},
        "nb_svm": {"accuracy": interval(0.8), "macro_f1": interval(0.79)},
    },
}
SLICES: dict[str, Any] = {
    "domain": {
        "movie": {"rows": 25, "accuracy": interval(0.8), "macro_f1": interval(0.79), "lead": interval(0.01)},
        "tweets": {"rows": 15},
    },
    "unknown words": {"up to 5 %": {"rows": 30, "accuracy": interval(0.9), "macro_f1": interval(0.9)}},
}


def write_finished_project(root: Path, params: Params, *, scale: float = 1.0) -> Path:
    """Write splits, model and evaluation; another `scale` makes another model."""
    shutil.copy(ROOT / "params.yaml", root / "params.yaml")
    splits = root / files.SPLITS
    splits.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", 120), ("validation", 20), ("test", 40)):
        _texts(name, rows).to_parquet(splits / f"{name}.parquet", index=False)
    write_tiny_model(root / files.MODEL, scale=scale)
    evaluation = root / files.EVALUATION
    evaluation.mkdir(parents=True, exist_ok=True)
    (evaluation / "metrics.json").write_text(json.dumps(METRICS))
    (evaluation / "details.json").write_text(json.dumps(DETAILS))
    (evaluation / "slices.json").write_text(json.dumps(SLICES))
    (evaluation / "report.html").write_text("<h1>Report</h1>")
    return root


def tracking_config(params: Params, **changes: Any) -> TrackingConfig:
    """Return the tracking section with a short timeout and other changed values."""
    return params.tracking.model_copy(update={"timeout_seconds": 2, **changes})


def _texts(name: str, rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"{name}-{row}" for row in range(rows)],
            "text": [
                f"a good film, number {row}" if row % 2 else f"bad and awful, number {row}" for row in range(rows)
            ],
            "label": ["positive" if row % 2 else "negative" for row in range(rows)],
            "domain": ["movie" if row % 3 else "tweets" for row in range(rows)],
            "rating": [1.5 if row % 2 else -1.5 for row in range(rows)],
        }
    )


def make_empty_store(folder: Path) -> Path:
    """Create an MLflow store to be copied: creating its tables takes two seconds."""
    path = folder / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments(max_results=1)
    return path
