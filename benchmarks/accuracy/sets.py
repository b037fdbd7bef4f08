"""The labeled texts of the benchmark, and params.yaml pointed at them."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "ATNET_DATASETS"
DEFAULT = "default"
OFFICIAL_SPLIT = {"imdb50k": True, "trec": True, "banking77": True, "toldbr_pt": True, "sms_spam": False}
"""Public sets, not shipped: NAME.csv.gz with columns text and label -> whether there is a column split too."""
NAMES = (DEFAULT, *OFFICIAL_SPLIT)

Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A set that is there."""

    name: str
    path: Path
    params: Params
    """All of params.yaml, pointed at the set."""


@dataclass(frozen=True, slots=True)
class Located:
    """What was found, and a sentence about each set that was not."""

    found: tuple[LabelledSet, ...]
    missing: Mapping[str, str]


def locate(names: Sequence[str], params: Params, *, project: Path, folder: str | None) -> Located:
    """Look for the sets.

    Args:
        params: the project's params.yaml; the default data are what it is pointed at.
        folder: where the public sets are, as the environment says; None where it says nothing.
    """
    found, missing = [], {}
    for name in names:
        path = project / params["data"]["path"] if name == DEFAULT else Path(folder or "", f"{name}.csv.gz")
        if name != DEFAULT and not folder:
            missing[name] = f"{VARIABLE} is not set. Point it at the folder that holds {path.name}."
        elif not path.is_file():
            missing[name] = _advice(name, path)
        else:
            found.append(LabelledSet(name, path.resolve(), pointed_at(params, name, path.resolve())))
    return Located(tuple(found), missing)


def pointed_at(params: Params, name: str, path: Path) -> Params:
    """Give params.yaml for a set: the file, its columns and no label from ratings differ, nothing else."""
    changed = copy.deepcopy(params)
    changed["data"]["path"] = str(path)
    if name == DEFAULT:
        return changed
    split = "split" if OFFICIAL_SPLIT[name] else None
    columns = {"text": "text", "label": "label", "id": None, "split": split, "rating": None, "weight": None}
    changed["data"] |= {"format": "auto", "encoding": "utf-8", "separator": "auto"}
    changed["data"]["columns"] = {**columns, "slices": []}
    changed["validate"] |= {"label_from_rating": None, "label_map": {}, "labels": None}
    return changed


def changed(params: Params, overrides: Mapping[str, Any]) -> Params:
    """Give params.yaml with other values under dotted names such as train.wide.

    Raises:
        KeyError: for a name that params.yaml does not have.
    """
    result = copy.deepcopy(params)
    for name, value in overrides.items():
        *sections, key = name.split(".")
        section = result
        for part in sections:
            section = section[part]
        if key not in section:
            raise KeyError(f"{name} is not in params.yaml; mend the override.")
        section[key] = value
    return result


def _advice(name: str, path: Path) -> str:
    if name == DEFAULT:
        return f"{path} is not here. Run `dvc repro data/dvc.yaml:sample`, or put your file there."
    return f"{path} is not there. Put it into the folder that {VARIABLE} names."
