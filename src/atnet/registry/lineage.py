"""Lineage: from a file's hash to the live alias, and back.

Everything here is a pure function of what `model_origin` read from the tracking store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atnet.config.yaml_text import parse_yaml

HASH_DIGITS = 12
"""Digits shown of a hash."""


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file with one content."""

    path: str
    md5: str
    """The hash that DVC identifies it by."""


@dataclass(frozen=True, slots=True)
class StageRun:
    """What one stage read and wrote."""

    stage: str
    read: tuple[FileRef, ...]
    wrote: tuple[FileRef, ...]


@dataclass(frozen=True, slots=True)
class ModelOrigin:
    """Everything known about where one model comes from."""

    run_id: str
    run_name: str
    commit: str
    """Empty if the project was not in a git repository."""
    dirty: bool
    sha256: str
    """SHA-256 of the model files."""
    datasets: Mapping[str, str]
    """Split -> MD5."""
    stages: tuple[StageRun, ...]
    version: int | None
    """None: the run's model was never registered."""
    state: str
    aliases: tuple[str, ...]


def stage_runs(lock_text: str) -> tuple[StageRun, ...]:
    """Read from a dvc.lock what each stage read and wrote; source code is omitted."""
    lock = parse_yaml(lock_text) or {}
    return tuple(
        StageRun(name, tuple(_files(stage.get("deps", []))), tuple(_files(stage.get("outs", []))))
        for name, stage in lock.get("stages", {}).items()
    )


def files_with_md5(origin: ModelOrigin, md5: str) -> list[str]:
    """List the files with this content that the model comes from."""
    names = [ref.path for stage in origin.stages for ref in (*stage.read, *stage.wrote) if ref.md5 == md5]
    names += [f"the {split} split" for split, digest in origin.datasets.items() if digest == md5]
    return list(dict.fromkeys(names))


def lineage_lines(origin: ModelOrigin) -> list[str]:
    """Describe the path from the files to the aliases, the files first."""
    stages = [f"  {stage.stage:<10} {_refs(stage.read)} -> {_refs(stage.wrote)}" for stage in origin.stages]
    if not stages:
        stages = [
            f"  {split:<10} {digest[:HASH_DIGITS]} (published without a dvc.lock)"
            for split, digest in origin.datasets.items()
        ]
    uncommitted = " with uncommitted changes" if origin.dirty else ""
    code = f"commit {origin.commit[:HASH_DIGITS]}{uncommitted}" if origin.commit else "not in git"
    return [
        "files",
        *stages,
        "model",
        f"  sha256     {origin.sha256 or 'unknown'}",
        f"  run        {origin.run_id} ({origin.run_name})",
        f"  code       {code}",
        "registry",
        f"  {headline(origin)}",
    ]


def headline(origin: ModelOrigin) -> str:
    """Describe a version with its state and aliases in one line."""
    if origin.version is None:
        return f"run {origin.run_id} ({origin.run_name}): not registered"
    aliases = f", alias {', '.join(origin.aliases)}" if origin.aliases else ""
    return f"version {origin.version}: {origin.state}{aliases}"


def _files(entries: Sequence[Mapping[str, Any]]) -> list[FileRef]:
    refs = [FileRef(str(entry["path"]), str(entry.get("md5", ""))) for entry in entries]
    return [ref for ref in refs if not ref.path.startswith("src/")]


def _refs(refs: Sequence[FileRef]) -> str:
    return ", ".join(f"{ref.path} {ref.md5[:HASH_DIGITS]}" for ref in refs) or "nothing"
