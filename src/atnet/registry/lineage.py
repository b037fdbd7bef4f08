"""Where a version comes from and what came of a file: from file hash to live alias, both ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

HASH_DIGITS = 12
"""Shown of a hash; more would only widen the lines."""


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file at one state."""

    path: str
    md5: str
    """As DVC names it."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one stage made of which files."""

    stage: str
    read: tuple[FileRef, ...]
    wrote: tuple[FileRef, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """All that is known of where one model comes from."""

    run_id: str
    run_name: str
    commit: str
    """Empty where the project was in no git repository."""
    dirty: bool
    sha256: str
    """Of the model's files."""
    datasets: Mapping[str, str]
    """Split -> MD5."""
    steps: tuple[Step, ...]
    version: int | None
    """None: the run's model was never registered."""
    state: str
    aliases: tuple[str, ...]


def steps_of(lock_text: str) -> tuple[Step, ...]:
    """Read what each stage read and wrote from a dvc.lock; the code is left out."""
    lock = yaml.safe_load(lock_text) or {}
    return tuple(
        Step(name, tuple(_files(stage.get("deps", []))), tuple(_files(stage.get("outs", []))))
        for name, stage in lock.get("stages", {}).items()
    )


def files_with(origin: Origin, md5: str) -> list[str]:
    """Name the files of this content that the model comes from."""
    named = [ref.path for step in origin.steps for ref in (*step.read, *step.wrote) if ref.md5 == md5]
    named += [f"the {name} split" for name, digest in origin.datasets.items() if digest == md5]
    return list(dict.fromkeys(named))


def chain(origin: Origin) -> list[str]:
    """Tell the way from the files to the aliases, the files first."""
    lines = [f"  {step.stage:<10} {_refs(step.read)} -> {_refs(step.wrote)}" for step in origin.steps]
    if not lines:
        lines = [
            f"  {name:<10} {digest[:HASH_DIGITS]} (published without a dvc.lock)"
            for name, digest in origin.datasets.items()
        ]
    state = " with changes not committed" if origin.dirty else ""
    code = f"commit {origin.commit[:HASH_DIGITS]}{state}" if origin.commit else "not in git"
    return [
        "files",
        *lines,
        "model",
        f"  sha256     {origin.sha256 or 'unknown'}",
        f"  run        {origin.run_id} ({origin.run_name})",
        f"  code       {code}",
        "registry",
        f"  {headline(origin)}",
    ]


def headline(origin: Origin) -> str:
    """Name a version with its state and aliases in one line."""
    if origin.version is None:
        return f"run {origin.run_id} ({origin.run_name}): not registered"
    held = f", alias {', '.join(origin.aliases)}" if origin.aliases else ""
    return f"version {origin.version}: {origin.state}{held}"


def _files(entries: Sequence[Mapping[str, Any]]) -> list[FileRef]:
    refs = [FileRef(str(entry["path"]), str(entry.get("md5", ""))) for entry in entries]
    return [ref for ref in refs if not ref.path.endswith((".py", ".html"))]


def _refs(refs: Sequence[FileRef]) -> str:
    return ", ".join(f"{ref.path} {ref.md5[:HASH_DIGITS]}" for ref in refs) or "nothing"
