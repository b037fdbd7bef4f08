"""The labeled texts of the benchmark, and params.yaml with the settings of each dataset."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atnet.files import RAW

VARIABLE = "ATNET_DATASETS"
DEFAULT = "default"
OFFICIAL_SPLIT = {"imdb50k": True, "trec": True, "banking77": True, "toldbr_pt": True, "sms_spam": False}
"""Public datasets, not included: NAME.csv.gz with columns text and label -> whether there is a column split too."""
NAMES = (DEFAULT, *OFFICIAL_SPLIT)

Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset whose file exists."""

    name: str
    path: Path
    params: Params
    """All of params.yaml, with the settings of this dataset; `data.path` is inside a copy of the project."""


@dataclass(frozen=True, slots=True)
class LocatedDatasets:
    """The datasets that exist, and for each of the others a sentence about what to do."""

    available: tuple[Dataset, ...]
    missing: Mapping[str, str]


def locate_datasets(names: Sequence[str], params: Params, *, project: Path, folder: str | None) -> LocatedDatasets:
    """Find the files of the datasets.

    Args:
        names: of the datasets.
        params: the project's params.yaml; the default dataset is the file that it names.
        project: the project folder.
        folder: where the public datasets are; None if the environment variable is not set.
    """
    available, missing = [], {}
    for name in names:
        path = project / params["data"]["path"] if name == DEFAULT else Path(folder or "", f"{name}.csv.gz")
        if name != DEFAULT and not folder:
            missing[name] = f"{VARIABLE} is not set. Set it to the folder that contains {path.name}."
        elif not path.is_file():
            missing[name] = _advice(name, path)
        else:
            available.append(Dataset(name, path.resolve(), params_for(params, name, path)))
    return LocatedDatasets(tuple(available), missing)


def params_for(params: Params, name: str, path: Path) -> Params:
    """Return params.yaml for a dataset: other data and label settings, everything else unchanged."""
    result = copy.deepcopy(params)
    result["data"]["path"] = str(RAW / path.name)
    if name == DEFAULT:
        return result
    split = "split" if OFFICIAL_SPLIT[name] else None
    columns = {"text": "text", "label": "label", "id": None, "split": split, "rating": None, "weight": None}
    result["data"] |= {"format": "auto", "encoding": "utf-8", "separator": "auto"}
    result["data"]["columns"] = {**columns, "slices": []}
    result["validate"] |= {"label_from_rating": None, "label_map": {}, "labels": None}
    return result


def with_overrides(params: Params, overrides: Mapping[str, Any]) -> Params:
    """Return params.yaml with other values under dotted names such as train.wide.

    Raises:
        KeyError: for a name that is not in params.yaml.
    """
    result = copy.deepcopy(params)
    for name, value in overrides.items():
        *sections, key = name.split(".")
        section = result
        for part in sections:
            section = section[part]
        if key not in section:
            raise KeyError(f"{name} is not in params.yaml; correct the override.")
        section[key] = value
    return result


def _advice(name: str, path: Path) -> str:
    if name == DEFAULT:
        return f"{path} is missing. Run `dvc repro data/dvc.yaml:sample`, or put your file there."
    return f"{path} is missing. Put it into the folder that {VARIABLE} names."
