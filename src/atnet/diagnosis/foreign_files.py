"""Find files under the names of stage outputs that the pipeline did not write, because DVC deletes outputs.

DVC deletes a stage's outputs before the stage runs. The outputs of the stages that run first (`persist: true` in
dvc.yaml) are left to the stages themselves, which check all outputs before anything is deleted.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atnet.errors import DataFileError
from atnet.file_hashes import file_md5
from atnet.files import DEFAULT_DATA, DVC_FILE, DVC_LOCK, STATE
from atnet.git_dvc import LockedFile, cache_folder, locked_files, read_dvc_file

SAMPLE = "sample"
STARTED = STATE / "stages"
"""An empty file for each stage that has run in this clone: what lies under its outputs' names is the pipeline's."""
MAX_LISTED = 5


def mark_started(root: Path, stage: str) -> None:
    """Record that a stage writes its outputs in this clone."""
    (root / STARTED).mkdir(parents=True, exist_ok=True)
    (root / STARTED / stage).touch()


def require_no_foreign_files(root: Path, *, default_data: bool) -> None:
    """Check that every file under the name of an output was written by the pipeline.

    Args:
        root: the project folder.
        default_data: whether `data.path` is the default data, so that stage `sample` runs.

    Raises:
        DataFileError: with the files, and what to do with them.
    """
    foreign = list(foreign_files(root, default_data=default_data))
    if not foreign:
        return
    listed = ", ".join(map(str, foreign[:MAX_LISTED])) + (", …" if len(foreign) > MAX_LISTED else "")
    if foreign == [DEFAULT_DATA]:
        raise DataFileError(
            f"{listed} is not the default data, which stage `sample` writes under this name. Nothing was changed. "
            "If it is your file, give it another name and set data.path in params.yaml to it; if not, delete it."
        )
    raise DataFileError(
        f"{listed}: not written by the pipeline, but stages write outputs of this name, and DVC would delete the file "
        "first. Nothing was changed. Move it to another folder; to use it as data, set data.path in params.yaml to it."
    )


def foreign_files(root: Path, *, default_data: bool) -> Iterator[Path]:
    """Yield the outputs, relative to the project, that exist but were not written by the pipeline.

    A file is the pipeline's if a dvc.lock or DVC's cache has it, or if its stage has run in this clone (a killed stage
    leaves files that neither has). The default data are written in one step, so for them that does not count.
    """
    locked = _locked(root)
    for stage, path in _outputs(root):
        is_sample = stage == SAMPLE
        if not (root / path).is_file() or (is_sample and not default_data):
            continue
        if not is_sample and (root / STARTED / stage).exists():
            continue
        if not _is_known(root, path, locked.get(str(path)), exact=is_sample):
            yield path


def _is_known(root: Path, path: Path, locked: LockedFile | None, *, exact: bool) -> bool:
    size = (root / path).stat().st_size
    if locked is not None and size == locked.size and not exact:
        # Outputs may be large: that a foreign file has the very size of the output is not likely.
        return True
    digest = file_md5(root / path)
    if locked is not None and digest == locked.md5:
        return True
    cache = cache_folder(root)
    return cache is not None and (cache / digest[:2] / digest[2:]).is_file()


def _outputs(root: Path) -> Iterator[tuple[str, Path]]:
    for name in (Path("data") / DVC_FILE, DVC_FILE):
        if not (root / name).is_file():
            continue
        stages: dict[str, Any] = read_dvc_file(root / name).get("stages") or {}
        for stage, definition in stages.items():
            for output in (*definition.get("outs", []), *definition.get("metrics", [])):
                yield stage, Path(next(iter(output)) if isinstance(output, dict) else output)


def _locked(root: Path) -> dict[str, LockedFile]:
    locked: dict[str, LockedFile] = {}
    for name in (Path("data") / DVC_LOCK, DVC_LOCK):
        if (root / name).is_file():
            locked |= locked_files((root / name).read_text(encoding="utf-8"))
    return locked
