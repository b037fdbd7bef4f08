"""Bring new data in: imports are updated from their source, a changed file of the user's own is added again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from atnet.git_dvc import run_dvc

SKIPPED_FOLDERS = frozenset({".dvc", ".git", ".venv", ".atnet", "mlartifacts"})


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh looked at and what it found new; both name `.dvc` files, relative to the project."""

    looked_at: tuple[str, ...]
    changed: tuple[str, ...]

    def told(self) -> str:
        """Say it in one line."""
        if self.changed:
            return f"new data: {', '.join(self.changed)}. Commit the changed .dvc files once the result is accepted."
        seen = ", ".join(self.looked_at) or "nothing is tracked by a .dvc file"
        return f"no new data (looked at: {seen})."


def refresh(root: Path, data_path: str) -> Refreshed:
    """Update every import and add the data file again if it changed.

    Raises:
        StoreError: if a source does not answer.
    """
    imports = [path for path in dvc_files(root) if is_import(_read(path))]
    own = own_dvc_file(root, data_path)
    followed = [*imports, *([own] if own is not None and own not in imports else [])]
    before = {path: _digests(_read(path)) for path in followed}
    if imports:
        run_dvc(["update", *(str(path.relative_to(root)) for path in imports)], root)
    if own is not None and own not in imports:
        _add_again(root, own)
    changed = [path for path in followed if _digests(_read(path)) != before[path]]
    return Refreshed(_names(root, followed), _names(root, changed))


def dvc_files(root: Path) -> Iterator[Path]:
    """Find the `.dvc` files of the project, in the order of their names."""
    for path in sorted(root.rglob("*.dvc")):
        inside = path.relative_to(root).parts
        if path.is_file() and not SKIPPED_FOLDERS.intersection(inside[:-1]):
            yield path


def own_dvc_file(root: Path, data_path: str) -> Path | None:
    """Find the `.dvc` file that tracks the data file, or a folder it lies in."""
    target = root / data_path
    for tracked in (target, *target.parents):
        if tracked == root or not tracked.is_relative_to(root):
            return None
        beside = tracked.with_name(f"{tracked.name}.dvc")
        if beside.is_file():
            return beside
    return None


def is_import(content: Mapping[str, Any]) -> bool:
    """Tell whether a `.dvc` file follows a source outside (`dvc import`, `import-url`, `import-db`)."""
    return bool(content.get("deps"))


def _add_again(root: Path, own: Path) -> None:
    tracked = own.with_suffix("")
    # A clone that has not pulled yet: nothing here can be newer than what is tracked.
    if tracked.exists():
        run_dvc(["add", str(tracked.relative_to(root))], root)


def _read(path: Path) -> Mapping[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content if isinstance(content, Mapping) else {}


def _digests(content: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(out.get("md5")) for out in content.get("outs", []))


def _names(root: Path, paths: list[Path]) -> tuple[str, ...]:
    return tuple(str(path.relative_to(root)) for path in paths)
