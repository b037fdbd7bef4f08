"""A matrix that is written to a file in blocks of rows and then memory-mapped."""

from pathlib import Path
from types import TracebackType

import numpy as np

from atnet.evaluation.metrics import Floats


class MatrixFile:
    """Writes blocks of rows; the file is closed when the `with` block ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = self._columns = 0

    def __enter__(self) -> "MatrixFile":
        """Create the file."""
        self._file = self._path.open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()

    def append(self, block: Floats) -> None:
        """Write rows below the earlier ones."""
        np.ascontiguousarray(block, np.float64).tofile(self._file)
        self._rows += len(block)
        self._columns = block.shape[1]

    def mapped(self) -> Floats:
        """Map the closed file: (rows, columns)."""
        shape = (self._rows, self._columns)
        return np.asarray(np.memmap(self._path, np.float64, mode="r", shape=shape))
