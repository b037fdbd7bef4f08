"""The committed params.yaml with changed values."""

import copy
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from atnet.config import Params, parse_params
from atnet.config.yaml_text import parse_yaml
from atnet.files import EXPECTATIONS

ROOT = Path(__file__).resolve().parents[1]
LABELED: dict[str, dict[str, Any]] = {
    "data.columns": {"id": "id", "label": "label", "rating": None, "slices": []},
    "validate": {"label_from_rating": None},
    "train": {"soft_target_slope": None},
}
"""Settings for files with the columns id, text and label."""


def changed_text(*changes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return params.yaml as text with values changed: dotted section -> key -> value; later changes win."""
    values = copy.deepcopy(_committed())
    for change in changes:
        for dotted, new in change.items():
            section = values
            for name in dotted.split("."):
                section = section[name]
            section.update(new)
    return yaml.dump(values, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), allow_unicode=True)


@functools.cache
def _committed() -> dict[str, Any]:
    return parse_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))


def params_with(*changes: Mapping[str, Mapping[str, Any]]) -> Params:
    """Return the parameters with values changed."""
    return parse_params(changed_text(*changes))


def params_file(folder: Path, *changes: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write params.yaml with values changed to a folder, and the file of the user's expectations, without any."""
    (folder / EXPECTATIONS).write_text("expectations: []\n", encoding="utf-8")
    path = folder / "params.yaml"
    path.write_text(changed_text(*changes), encoding="utf-8")
    return path
