"""Text encodings of data files: names that exist, and where a file does not match the configured one."""

import codecs
import difflib
import encodings.aliases
from pathlib import Path

from atnet.data.raw_bytes import CHUNK_BYTES, open_bytes
from atnet.errors import ConfigurationError, DataFileError


def check_encoding(name: str) -> None:
    """Check that a text encoding of this name exists.

    Raises:
        ConfigurationError: with the closest known name.
    """
    try:
        # Not codecs.lookup: it also knows hex, rot13 and others, which str.encode refuses as not being text encodings.
        "a".encode(name)
        return
    except (LookupError, UnicodeError):
        pass
    known = ["utf-8", "latin-1", "cp1252", *encodings.aliases.aliases]
    closest = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"Did you mean {closest[0]}?" if closest else "Common ones are utf-8, latin-1, cp1252 and utf-16."
    raise ConfigurationError(f"data.encoding: there is no text encoding {name!r}. {hint}")


def encoding_error(path: Path, encoding: str) -> DataFileError:
    """Return an error that names the first bytes that do not match the encoding, and their line."""
    decoder = codecs.getincrementaldecoder(encoding)()
    position, line = 0, 1
    with open_bytes(path) as stream:
        start = stream.read(4)
        stream.seek(0)
        while chunk := stream.read(CHUNK_BYTES):
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                position += error.start - pending
                line += error.object[: error.start].count(b"\n")
                return DataFileError(
                    f"{path} is not {encoding}: byte 0x{byte:02X} at position {position:,} (line {line:,}). "
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
