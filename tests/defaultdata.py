"""The default data in a copy of the project, and reduced data: without one domain, or with shuffled labels."""

import shutil
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from atnet import files
from atnet.config import SPLITS, Params
from atnet.storage import load_params
from tests.projects import ROOT, Project, change_params

REMOVED_DOMAIN = "movie"
"""The domain without training rows in the reduced data: half of all rows, so a model of all rows is clearly better.

Half of the rows of every domain would not be enough for a first model: from those it does not learn that "not good" is
negative, and the gate rejects it.
"""
REDUCED = "data/reduced.csv"


@dataclass(frozen=True, slots=True)
class DefaultData:
    """A project and the rows of the default data in its splits."""

    project: Project
    path: str
    """Of the default data, as in params.yaml."""
    rows: pd.DataFrame
    """As in the file, with the index `id`."""
    split_ids: dict[str, list[str]]
    """The ids of each split."""

    @property
    def reduced_train_ids(self) -> list[str]:
        """Return the ids of the training rows in the reduced data."""
        domains = self.rows["domain"].loc[self.split_ids["train"]]
        return list(domains.index[domains != REMOVED_DOMAIN])

    def use_all(self) -> None:
        """Train on the default data."""
        self._use(self.path)

    def use_reduced(self, *, shuffled: bool = False) -> None:
        """Train without one domain; validation and test keep the same rows of all domains.

        A row keeps its split when others are removed, so all models are compared on the same test rows.

        Args:
            shuffled: shuffle the ratings, and with them the labels, of the training and validation rows.
        """
        rows = self.rows.loc[[*self.reduced_train_ids, *self.split_ids["validation"], *self.split_ids["test"]]]
        if shuffled:
            ratings = rows["rating"].to_numpy().copy()
            learned = len(ratings) - len(self.split_ids["test"])
            ratings[:learned] = np.random.default_rng(5).permutation(ratings[:learned])
            rows = rows.assign(rating=ratings)
        rows.to_csv(self.project.root / REDUCED)
        self._use(REDUCED)

    def _use(self, path: str) -> None:
        change_params(self.project.root / "params.yaml", {"data": {"path": path}})


def add_default_data(project: Project) -> DefaultData:
    """Copy the default data from this project's folder, or download them from the package index, and split them.

    Skips the test if neither has them.
    """
    params = load_params(project.root / "params.yaml")
    path = project.root / params.data.path
    if (ROOT / params.data.path).is_file():
        path.parent.mkdir(parents=True)
        shutil.copyfile(ROOT / params.data.path, path)
        # With its lock file DVC knows that the sample stage has written these bytes, and does not run it.
        shutil.copyfile(ROOT / "data" / "dvc.lock", project.root / "data" / "dvc.lock")
    done = project.run("dvc", "repro", "split", check=False)
    if not path.is_file():
        pytest.skip(f"{ROOT / params.data.path} is missing, and the sample stage failed: {done.stdout[-500:]}")
    assert done.returncode == 0, done.stdout
    rows = pd.read_csv(path, dtype={"id": str}).set_index("id")
    return DefaultData(project, params.data.path, rows, {name: _ids(project, params, name) for name in SPLITS})


def _ids(project: Project, params: Params, name: str) -> list[str]:
    ids = pd.read_parquet(project.root / files.SPLITS / f"{name}.parquet", columns=["id"])["id"]
    return [str(row) for row in ids]
