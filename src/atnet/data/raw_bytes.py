"""Open the data file as bytes: unpack gzip, and report what is wrong with the file itself in one message."""

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from atnet.errors import DataFileError

GZIP_MAGIC = b"\x1f\x8b"
CHUNK_BYTES = 1 << 20


@contextlib.contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading; a file that starts like gzip is unpacked.

    Raises:
        DataFileError: if it is missing, a folder, not readable, or a gzip file that is cut short or damaged.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(GZIP_MAGIC))
            file.seek(0)
            if magic == GZIP_MAGIC:
                with gzip.open(file) as unpacked:
                    yield cast(IO[bytes], unpacked)
            else:
                yield file
    except FileNotFoundError:
        raise DataFileError(f"{path} is missing. Put your file there, or set data.path in params.yaml.") from None
    except IsADirectoryError:
        raise DataFileError(f"{path} is a folder. Set data.path in params.yaml to a file.") from None
    except PermissionError:
        raise DataFileError(f"{path} is not readable for this user. Change its permissions.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataFileError(
            f"{path} is a gzip file that is cut short or damaged ({error}). Copy or download it again."
        ) from error


def no_rows_error(path: Path) -> DataFileError:
    """Return the error for a file that consists of a header only."""
    return DataFileError(f"{path} has a header but no rows. Add the labeled texts.")
