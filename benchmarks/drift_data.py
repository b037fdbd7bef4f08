"""Texts for the drift benchmark: a model of the default data without tweets, and unseen texts.

The model is trained with DVC in a copy of the project, on the rows that are neither tweets nor held out. Unseen texts
are the validation and test rows, the other held-out rows, and the tweets.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from atnet import files
from atnet.inference import Predictor
from atnet.schema import ID, TEXT, TEXT_HASH, text_hash
from atnet.storage import load_params
from benchmarks.measure import measure
from benchmarks.project_copy import ROOT, command_environment, project_copy

RESULTS = ROOT / ".atnet" / "benchmarks" / "drift"
NEW_DOMAIN = "tweets"
HELD_OUT = 5000
"""Rows that are neither trained nor evaluated on, so that many windows of equal data can be drawn."""
SEED = 7
DATA = "data/without_tweets.csv"


@dataclass(frozen=True, slots=True)
class DriftData:
    """A model and texts that it was not trained on."""

    predictor: Predictor
    equal: pd.DataFrame
    """Distinct held-out texts of the domains it was trained on."""
    new: pd.DataFrame
    """Distinct tweets."""


def load_drift_data() -> DriftData:
    """Train the model unless an earlier run has, and separate the unseen texts by domain."""
    if not (RESULTS / "model" / "model.onnx").is_file():
        _train()
    train_hashes = set((RESULTS / "model" / "train_hashes.txt").read_text(encoding="utf-8").split())
    texts = pd.read_parquet(RESULTS / "unseen.parquet")
    texts = texts.assign(**{TEXT_HASH: [text_hash(text) for text in texts[TEXT]]}).drop_duplicates(TEXT_HASH)
    texts = texts[~texts[TEXT_HASH].isin(train_hashes)]
    is_new = texts["domain"] == NEW_DOMAIN
    return DriftData(
        predictor=Predictor.load(RESULTS / "model"),
        equal=texts[~is_new].reset_index(drop=True),
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
        held_out = usual.sample(HELD_OUT, random_state=SEED)
        usual.drop(held_out.index).to_csv(root / DATA, index=False)
        _set_data_path(root / "params.yaml")
        measure(["dvc", "repro", "train"], root, command_environment(root))
        shutil.copytree(root / files.MODEL, RESULTS / "model", dirs_exist_ok=True)
        splits = [pd.read_parquet(root / files.split_table(name)) for name in ("validation", "test")]
        unseen = pd.concat([*splits, held_out, rows[rows["domain"] == NEW_DOMAIN]])
        unseen = unseen.assign(label=(unseen["rating"] > 0).map({True: rule.positive, False: rule.negative}))
        unseen[[ID, TEXT, "label", "rating", "domain"]].to_parquet(RESULTS / "unseen.parquet", index=False)


def _set_data_path(path: Path) -> None:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["data"]["path"] = DATA
    path.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")
