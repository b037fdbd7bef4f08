"""The default data and recipe in a copy of the project, and poorer data: one domain less, labels shuffled."""

import shutil
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from atnet import files
from atnet.config import SPLITS, Params
from atnet.storage import load_params
from tests.projects import ROOT, Project, change_params

LACKING = "movie"
"""The domain that poorer data have no training rows of: half of all rows, so a model of all rows is clearly better.

Half of the rows of every domain would not do for a first model: of those the recipe does not learn that "not good" is
bad, and the gate refuses it.
"""
POORER = "data/poorer.csv"


@dataclass(frozen=True, slots=True)
class DefaultData:
    """A project and the rows of the default data that its splits hold."""

    project: Project
    path: str
    """Of the default data, as params.yaml has it."""
    rows: pd.DataFrame
    """As in the file, with the index `id`."""
    sides: dict[str, list[str]]
    """The ids of each split."""

    @property
    def few(self) -> list[str]:
        """Name the training rows that poorer data have."""
        domains = self.rows["domain"].loc[self.sides["train"]]
        return list(domains.index[domains != LACKING])

    def use_all(self) -> None:
        """Train on the default data as they are."""
        self._use(self.path)

    def use_poorer(self, *, shuffled: bool = False) -> None:
        """Train without one domain, validated and tested on the same rows of all domains.

        A row keeps its side when others are taken away, so all models are judged on the same test rows.

        Args:
            shuffled: deal out the ratings, and with them the labels, of the training and validation rows by chance.
        """
        rows = self.rows.loc[[*self.few, *self.sides["validation"], *self.sides["test"]]]
        if shuffled:
            ratings = rows["rating"].to_numpy().copy()
            learned = len(ratings) - len(self.sides["test"])
            ratings[:learned] = np.random.default_rng(5).permutation(ratings[:learned])
            rows = rows.assign(rating=ratings)
        rows.to_csv(self.project.root / POORER)
        self._use(POORER)

    def _use(self, path: str) -> None:
        change_params(self.project.root / "params.yaml", {"data": {"path": path}})


def bring_default_data(project: Project) -> DefaultData:
    """Give a copied project the default data, from this project's folder or from the package index, and split them.

    Skips the test where they can be had from neither.
    """
    params = load_params(project.root / "params.yaml")
    path = project.root / params.data.path
    if (ROOT / params.data.path).is_file():
        path.parent.mkdir(parents=True)
        shutil.copyfile(ROOT / params.data.path, path)
        # With its lock file DVC sees that these are the bytes that the sample stage makes, and does not make them.
        shutil.copyfile(ROOT / "data" / "dvc.lock", project.root / "data" / "dvc.lock")
    done = project.run("dvc", "repro", "split", check=False)
    if not path.is_file():
        pytest.skip(f"{ROOT / params.data.path} is missing, and the sample stage failed: {done.stdout[-500:]}")
    assert done.returncode == 0, done.stdout
    rows = pd.read_csv(path, dtype={"id": str}).set_index("id")
    return DefaultData(project, params.data.path, rows, {name: _ids(project, params, name) for name in SPLITS})


def _ids(project: Project, params: Params, name: str) -> list[str]:
    ids = pd.read_parquet(project.root / files.SPLITS / f"{name}.parquet", columns=["id"])["id"]
    return [str(one) for one in ids]
