"""Read and write files: complete files only, the same bytes for the same values. Lock files against other processes."""

import contextlib
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from atnet.config import load_params as load_params
from atnet.errors import AtnetError, DataFileError, StoreError
from atnet.formatting import defuse_formula
from atnet.partial_files import partial_path, remove_abandoned

EXPERIMENT_COPIES = (".dvc", "tmp", "exps")
"""Where DVC puts the temporary copies of `dvc exp run --temp` and `--queue`."""


def project_root(start: Path | None = None) -> Path:
    """Return the folder that stores are relative to; for a temporary copy made by DVC, the project that it copies."""
    here = (start or Path.cwd()).resolve()
    parts = here.parts
    for position in range(len(parts) - len(EXPERIMENT_COPIES)):
        if parts[position : position + len(EXPERIMENT_COPIES)] == EXPERIMENT_COPIES:
            return Path(*parts[:position])
    return here


def sqlite_address(path: Path) -> str:
    """Return SQLAlchemy's address of a SQLite file, whatever characters the path contains."""
    plain = str(path)
    if "?" not in plain and unquote(plain) == plain:
        return f"sqlite:///{plain}"
    # SQLAlchemy cuts a path at a "?", and MLflow decodes one with "%"; SQLite itself decodes a file: address. With
    # the driver's name in front, MLflow does not try to create the folder.
    return f"sqlite+pysqlite:///{path.absolute().as_uri().replace('file://', 'file:', 1)}?uri=true"


def cpu_flags() -> set[str]:
    """Return the instruction sets of this CPU by their Linux names; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return set(flags.partition(":")[2].split())


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder to write to; it is renamed to `path` only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path)
    partial = partial_path(path)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def exclusive_lock(
    path: Path, message: str, *, timeout_seconds: float = 0, error: type[AtnetError] = StoreError
) -> Iterator[None]:
    """Lock a file against other processes while the block runs. The lock of a process that dies is released.

    Args:
        path: the lock file; it stays when the lock is released.
        message: what to tell the user if another process keeps the lock.
        timeout_seconds: how long to wait for the lock.
        error: type of the error that is raised.

    Raises:
        AtnetError: of the given type, with the message, if another process keeps the lock for longer than the timeout.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=timeout_seconds)
    try:
        lock.acquire()
    except Timeout:
        raise error(message) from None
    try:
        yield
    finally:
        lock.release()


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, completely or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys; numbers that are not finite become null."""
    text = json.dumps(_finite(value), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that an earlier stage wrote.

    Raises:
        DataFileError: if it is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _missing(path) from None
    except ValueError as error:
        raise _damaged(path, error) from error


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a Parquet file without the frame's index."""
    with whole_file(path) as partial:
        pq.write_table(pa.Table.from_pandas(table, preserve_index=False), partial, compression="zstd")


def csv_text(table: pd.DataFrame, *, header: bool = True) -> str:
    """Write a table as CSV without the frame's index; texts that a spreadsheet would run as formulas are defused."""
    safe = table.rename(columns=defuse_formula)
    for position, dtype in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype):
            cells = [defuse_formula(cell) for cell in table.iloc[:, position]]
            safe.isetitem(position, np.array(cells, dtype=object))
    return str(safe.to_csv(index=False, header=header, lineterminator="\n"))


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV file for people and spreadsheets, see `csv_text`."""
    write_text(path, csv_text(table))


def write_csv_batches(path: Path, tables: Iterable[pd.DataFrame]) -> None:
    """Write tables of the same columns to one CSV file, see `csv_text`."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for number, table in enumerate(tables):
            file.write(csv_text(table, header=number == 0))


def write_arrow(path: Path, table: pa.Table) -> None:
    """Write an uncompressed Arrow IPC file of one batch, so that it can be memory-mapped."""
    with whole_file(path) as partial, pa.ipc.new_file(str(partial), table.schema) as writer:
        writer.write_table(table.combine_chunks())


def write_array(path: Path, values: np.ndarray) -> None:
    """Write a NumPy file."""
    # Not directly to the file: on a full disk NumPy would fail without giving the reason.
    contents = io.BytesIO()
    np.save(contents, values)
    with whole_file(path) as partial:
        partial.write_bytes(contents.getbuffer())


def read_array(path: Path) -> np.ndarray:
    """Read a NumPy file that an earlier stage wrote.

    Raises:
        DataFileError: if it is missing or damaged.
    """
    with reading(path, ValueError, EOFError):
        values: np.ndarray = np.load(path)
    return values


def read_table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a Parquet file that an earlier stage wrote.

    Raises:
        DataFileError: if it is missing or damaged.
    """
    try:
        table: pd.DataFrame = pq.read_table(path, columns=columns).to_pandas()
    except FileNotFoundError:
        raise _missing(path) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from error
    return table


@contextlib.contextmanager
def reading(path: Path, *errors: type[Exception]) -> Iterator[None]:
    """Report errors while the block reads a file of an earlier stage: missing, or damaged if it raises one of `errors`.

    Raises:
        DataFileError: with the path of the file.
    """
    try:
        yield
    except FileNotFoundError:
        raise _missing(path) from None
    except errors as error:
        raise _damaged(path, error) from error


def _missing(path: Path) -> DataFileError:
    return DataFileError(f"{path} is missing. Run `make pipeline` or `dvc repro`, or restore it with `dvc checkout`.")


def _damaged(path: Path, error: Exception) -> DataFileError:
    reason = str(error).splitlines()[0]
    return DataFileError(
        f"{path} is damaged ({reason}). Delete it and run `dvc repro`. "
        "If it is damaged again, DVC's cache is damaged too: `atnet doctor` shows which file to delete there."
    )


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
