"""The manifest of a scored partition: what it was made from, and whether it has to be scored again."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from atnet.git_dvc import git_state

FORMAT = 1
PACKAGE = "atnet-pipeline"


@dataclass(frozen=True, slots=True)
class CodeVersion:
    """The code version of a scoring run."""

    package: str
    """Version of the package."""
    commit: str | None
    """Commit of the project; None outside git."""
    dirty: bool
    """Whether the project differed from the commit."""


@dataclass(frozen=True, slots=True)
class ScoringModel:
    """The version that scores, with a verified copy of its files."""

    name: str
    version: int
    sha256: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is recorded about a scored partition."""

    source: str
    """File, folder or table that the texts come from."""
    partition: str
    input_sha256: str
    rows_in: int
    rows_out: int
    rows_rejected: int
    rejected_by_reason: Mapping[str, int]
    model: str
    version: int
    model_sha256: str
    settings: Mapping[str, Any]
    """The settings that the output depends on, besides input and model."""
    code: CodeVersion
    started: str
    finished: str
    """ISO 8601, UTC."""
    output_bytes: int | None = None
    """Size of the output file; None for a SQL table."""
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> "Manifest | None":
        """Read a manifest; None if it is damaged or of another format, so that the partition is scored again."""
        try:
            if values["format"] != FORMAT:
                return None
            return cls(**{**values, "code": CodeVersion(**values["code"])})
        except (KeyError, TypeError):
            return None


def pending_reason(
    manifest: Manifest | None, input_sha256: str, settings: Mapping[str, Any], model_sha256: str | None
) -> str | None:
    """Return why a partition has to be scored; None if it is up to date.

    Args:
        manifest: of its output; None if there is none.
        input_sha256: of its current contents.
        settings: of this run.
        model_sha256: of the model that would score it; None: any model's scores count as up to date.
    """
    if manifest is None:
        return "not scored yet"
    if manifest.input_sha256 != input_sha256:
        return "the input changed"
    if dict(manifest.settings) != dict(settings):
        return "the options changed"
    if model_sha256 is not None and manifest.model_sha256 != model_sha256:
        return f"scored by version {manifest.version}"
    return None


def code_version(root: Path) -> CodeVersion:
    """Describe the running code."""
    state = git_state(root)
    return CodeVersion(importlib.metadata.version(PACKAGE), state.commit, state.dirty)
