"""Open a data file of the user's: gzip unpacked, and each fault of the file itself told in one message."""

import codecs
import contextlib
import difflib
import encodings.aliases
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from atnet.errors import ConfigurationError, DataFileError

GZIP_MAGIC = b"\x1f\x8b"
CHUNK_BYTES = 1 << 20


@contextlib.contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading, unpacked if its first bytes say gzip.

    Raises:
        DataFileError: if it is missing, a folder, forbidden, or a gzip file that is cut short or damaged.
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
        raise DataFileError(f"{path} is a folder. Set data.path in params.yaml to one file.") from None
    except PermissionError:
        raise DataFileError(f"{path} may not be read by this user. Change its permissions.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataFileError(
            f"{path} is a gzip file that is cut short or damaged ({error}). Copy or download it again."
        ) from error


def check_encoding(name: str) -> None:
    """Refuse a name of no text encoding.

    Raises:
        ConfigurationError: with the nearest known name.
    """
    try:
        # Not codecs.lookup: it also finds hex, rot13 and the like, which str.encode refuses as no text encodings.
        "a".encode(name)
        return
    except (LookupError, UnicodeError):
        pass
    near = difflib.get_close_matches(name.lower(), ["utf-8", "latin-1", "cp1252", *encodings.aliases.aliases], n=1)
    hint = f"Did you mean {near[0]}?" if near else "Usual ones are utf-8, latin-1, cp1252 and utf-16."
    raise ConfigurationError(f"data.encoding: no text encoding is called {name!r}. {hint}")


def no_rows(path: Path) -> DataFileError:
    """Say that the file is nothing but a header."""
    return DataFileError(f"{path} names its columns but holds no rows. Put the labeled texts in.")


def encoding_fault(path: Path, encoding: str) -> DataFileError:
    """Find the first bytes that are not of the stated encoding and say where they stand."""
    decoder = codecs.getincrementaldecoder(encoding)()
    position, line = 0, 1
    with open_bytes(path) as stream:
        start = stream.read(4)
        stream.seek(0)
        while chunk := stream.read(CHUNK_BYTES):
            waiting = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                found = error.object[error.start]
                position += error.start - waiting
                line += error.object[: error.start].count(b"\n")
                return DataFileError(
                    f"{path} is not {encoding}: byte 0x{found:02X} at position {position:,} (line {line:,}). "
                    f"{_encoding_hint(start, encoding)}"
                )
            position += len(chunk)
            line += chunk.count(b"\n")
    return DataFileError(f"{path} is not {encoding}: it ends in the middle of a character. Copy or download it again.")


def _encoding_hint(start: bytes, encoding: str) -> str:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "It starts like UTF-16: set data.encoding: utf-16 in params.yaml."
    other = "latin-1" if encoding.lower().replace("_", "-") not in ("latin-1", "iso-8859-1") else "utf-8"
    return f"If it comes from Excel or an older system, set data.encoding: {other} in params.yaml."
