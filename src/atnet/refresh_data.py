"""Bring in new data: update DVC imports from their source, and add a changed data file of the user again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atnet.git_dvc import read_dvc_file, run_dvc

SKIPPED_FOLDERS = frozenset({".dvc", ".git", ".venv", ".atnet", "mlartifacts"})


@dataclass(frozen=True, slots=True)
class RefreshResult:
    """The result of a refresh: `.dvc` files, relative to the project."""

    checked: tuple[str, ...]
    changed: tuple[str, ...]

    def summary(self) -> str:
        """Describe the result in one line."""
        if self.changed:
            return f"new data: {', '.join(self.changed)}. Commit the changed .dvc files once the result is accepted."
        checked = ", ".join(self.checked) or "no data file is tracked by DVC"
        return f"no new data (checked: {checked})."


def refresh_data(root: Path, data_path: str) -> RefreshResult:
    """Update every import and add the data file again if it changed.

    Raises:
        StoreError: if a source does not answer.
    """
    imports = [path for path in dvc_files(root) if is_import(read_dvc_file(path))]
    own = own_dvc_file(root, data_path)
    tracked = [*imports, *([own] if own is not None and own not in imports else [])]
    before = {path: _digests(read_dvc_file(path)) for path in tracked}
    if imports:
        run_dvc(["update", *(str(path.relative_to(root)) for path in imports)], root)
    if own is not None and own not in imports:
        _add_again(root, own)
    changed = [path for path in tracked if _digests(read_dvc_file(path)) != before[path]]
    return RefreshResult(_names(root, tracked), _names(root, changed))


def dvc_files(root: Path) -> Iterator[Path]:
    """Return the `.dvc` files of the project, sorted by name."""
    for path in sorted(root.rglob("*.dvc")):
        folders = path.relative_to(root).parts[:-1]
        if path.is_file() and not SKIPPED_FOLDERS.intersection(folders):
            yield path


def own_dvc_file(root: Path, data_path: str) -> Path | None:
    """Return the `.dvc` file that tracks the data file or a folder that contains it; None if there is none."""
    target = root / data_path
    for path in (target, *target.parents):
        if path == root or not path.is_relative_to(root):
            return None
        dvc_file = path.with_name(f"{path.name}.dvc")
        if dvc_file.is_file():
            return dvc_file
    return None


def is_import(content: Mapping[str, Any]) -> bool:
    """Return whether a `.dvc` file tracks an external source (`dvc import`, `import-url`, `import-db`)."""
    return bool(content.get("deps"))


def _add_again(root: Path, own: Path) -> None:
    tracked = own.with_suffix("")
    # In a clone that has not pulled yet, nothing can be newer than what is tracked.
    if tracked.exists():
        run_dvc(["add", str(tracked.relative_to(root))], root)


def _digests(content: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(out.get("md5")) for out in content.get("outs", []))


def _names(root: Path, paths: list[Path]) -> tuple[str, ...]:
    return tuple(str(path.relative_to(root)) for path in paths)
