"""The stages, read from dvc.yaml, which alone defines the graph."""

from pathlib import Path

import yaml

from atnet.config import Params
from atnet.config.yaml_text import parse_yaml
from atnet.errors import ConfigurationError
from atnet.files import DEFAULT_DATA, DVC_FILE

SAMPLE = "sample"
"""The stage that fetches the default data; it has its own dvc.yaml."""


def stages_for(params: Params, root: Path) -> tuple[str, ...]:
    """Return the stages to run, in the order of dvc.yaml; `sample` only if `data.path` is the default data.

    Raises:
        ConfigurationError: if dvc.yaml is missing or cannot be parsed.
    """
    stages = declared_stages(root)
    return (SAMPLE, *stages) if Path(params.data.path) == DEFAULT_DATA else stages


def declared_stages(root: Path) -> tuple[str, ...]:
    """Read the stages of dvc.yaml; a test checks that its order is one that the dependencies allow."""
    try:
        return tuple(parse_yaml((root / DVC_FILE).read_text(encoding="utf-8"))["stages"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{DVC_FILE} cannot be read ({error}). Restore it with `git checkout {DVC_FILE}`."
        ) from error


def dvc_address(stage: str) -> str:
    """Return DVC's address of a stage."""
    return f"data/dvc.yaml:{SAMPLE}" if stage == SAMPLE else stage
