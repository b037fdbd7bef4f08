"""Texts for the drift benchmark: a model of the default data without tweets, and texts it has never seen.

The model is trained by DVC in a copy of the project, on the rows that are neither tweets nor set aside. Unseen texts
are the validation and test rows, the rows set aside, and the tweets.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from atnet.monitoring.pooled_predictor import PooledPredictor
from atnet.storage import load_params
from atnet.table import ID, TEXT, TEXT_HASH, text_hash
from benchmarks.copied import ROOT, environment, project_copy
from benchmarks.measure import measure

KEPT = ROOT / ".atnet" / "benchmarks" / "drift"
NEW_DOMAIN = "tweets"
SET_ASIDE = 5000
"""Rows that are neither trained nor evaluated on, so that equal windows can be drawn again and again."""
SEED = 7
DATA = "data/without_tweets.csv"


@dataclass(frozen=True, slots=True)
class DriftData:
    """A model and texts that it has not been trained on."""

    predictor: PooledPredictor
    usual: pd.DataFrame
    """Distinct held-out texts of the domains it was trained on."""
    new: pd.DataFrame
    """Distinct tweets."""


def load_drift_data() -> DriftData:
    """Train the model unless it is kept from an earlier run, and split the unseen texts."""
    if not (KEPT / "model" / "model.onnx").is_file():
        _train()
    train_hashes = set((KEPT / "model" / "train_hashes.txt").read_text(encoding="utf-8").split())
    texts = pd.read_parquet(KEPT / "unseen.parquet")
    texts = texts.assign(**{TEXT_HASH: [text_hash(text) for text in texts[TEXT]]}).drop_duplicates(TEXT_HASH)
    texts = texts[~texts[TEXT_HASH].isin(train_hashes)]
    is_new = texts["domain"] == NEW_DOMAIN
    return DriftData(
        predictor=PooledPredictor.load(KEPT / "model"),
        usual=texts[~is_new].reset_index(drop=True),
        new=texts[is_new].reset_index(drop=True),
    )


def _train() -> None:
    with project_copy() as root:
        params = load_params(root / "params.yaml")
        source = ROOT / params.data.path
        if not source.is_file():
            raise SystemExit(f"{source} is missing. Run `dvc repro` in the project first.")
        rows = pd.read_csv(source, dtype={ID: str})
        rule = params.validate_.label_from_rating
        assert rule is not None
        rows = rows[rows["rating"].abs() > rule.neutral_band]
        usual = rows[rows["domain"] != NEW_DOMAIN]
        aside = usual.sample(SET_ASIDE, random_state=SEED)
        usual.drop(aside.index).to_csv(root / DATA, index=False)
        _use(root / "params.yaml")
        # DVC's lock file of the copy would name the whole data.
        measure(["dvc", "repro", "train"], root, environment(root))
        shutil.copytree(root / params.folders.model, KEPT / "model", dirs_exist_ok=True)
        held_out = [
            pd.read_parquet(root / params.folders.splits / f"{name}.parquet") for name in ("validation", "test")
        ]
        unseen = pd.concat([*held_out, aside, rows[rows["domain"] == NEW_DOMAIN]])
        unseen = unseen.assign(label=(unseen["rating"] > 0).map({True: rule.positive, False: rule.negative}))
        unseen[[ID, TEXT, "label", "rating", "domain"]].to_parquet(KEPT / "unseen.parquet", index=False)


def _use(path: Path) -> None:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["data"]["path"] = DATA
    path.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")
