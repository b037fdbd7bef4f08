"""Text encodings of data files: which names exist, and guessing a file's encoding from its bytes."""

import codecs
import difflib
import encodings.aliases
from dataclasses import dataclass
from pathlib import Path

from atnet.data.raw_bytes import CHUNK_BYTES, open_bytes
from atnet.errors import ConfigurationError, DataFileError

C1_CHARACTERS = "[\\x{80}-\\x{9F}]"
"""RE2: control characters that no text contains; Windows-1252 has quotes, dashes and the euro sign in their place."""
C1_BYTES = bytes(range(0x80, 0xA0))
UNDEFINED_IN_CP1252 = b"\x81\x8d\x8f\x90\x9d"
ASCII_LETTERS = bytes(range(0x41, 0x5B)) + bytes(range(0x61, 0x7B))
HIGH_BYTES = bytes(range(0x80, 0x100))
MAX_LINES = 5
"""Line numbers listed in a message."""
MIN_ZEROS = 0.3
"""Share of zero bytes at a position that shows an encoding of several bytes per character."""
BYTE_ORDER_MARKS = (
    # The first two bytes of UTF-32-LE are those of UTF-16-LE.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class ByteEvidence:
    """What the lines with non-ASCII bytes reveal about the encoding."""

    utf8_lines: int
    """Lines that are valid UTF-8."""
    other_lines: list[int]
    """Numbers of the first lines that are not."""
    other_count: int
    c1_bytes: bool
    """Whether those lines have bytes 0x80 to 0x9F."""
    cp1252: bool
    """Whether all of those bytes are defined in Windows-1252."""
    mostly_high: bool
    """Whether those lines have more non-ASCII bytes than ASCII letters, as in scripts that are not Latin."""


def check_encoding(name: str, setting: str = "data.encoding") -> None:
    """Check that a text encoding of this name exists.

    Args:
        name: the encoding.
        setting: the parameter or option that names it.

    Raises:
        ConfigurationError: with the closest known name.
    """
    try:
        # Not codecs.lookup: it also knows hex, rot13 and others, which str.encode refuses as not being text encodings.
        "a".encode(name)
        return
    except (LookupError, UnicodeError):
        pass
    names = ["utf-8", "latin-1", "cp1252", *encodings.aliases.aliases]
    closest = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f"Did you mean {closest[0]}?" if closest else "Common ones are utf-8, latin-1, cp1252 and utf-16."
    raise ConfigurationError(f"{setting}: there is no text encoding {name!r}. {hint}")


def canonical_name(encoding: str) -> str:
    """Return Python's own name of an encoding: utf-8, iso8859-1, cp1252, ..."""
    return codecs.lookup(encoding).name


def wide_encoding(start: bytes) -> str | None:
    """Return UTF-16 or UTF-32 if the first bytes of a file show it, with or without a byte-order mark."""
    for mark, name in BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return name
    # Share of zeros in each of four bytes: most characters of a file with a header are ASCII.
    zeros = [start[place::4].count(0) / max(len(start) // 4, 1) for place in range(4)]
    patterns = {"utf-32-le": "-000", "utf-32-be": "000-", "utf-16-le": "-0-0", "utf-16-be": "0-0-"}
    seen = "".join("0" if share > MIN_ZEROS else "-" for share in zeros)
    return next((name for name, pattern in patterns.items() if pattern == seen), None)


def encoding_error(path: Path, encoding: str) -> DataFileError:
    """Return an error that names the first bytes that do not match the encoding, their line, and what to set."""
    decoder = codecs.getincrementaldecoder(encoding)()
    position, line = 0, 1
    with open_bytes(path) as stream:
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
                    f"{encoding_advice(path, encoding)}"
                )
            position += len(chunk)
            line += chunk.count(b"\n")
    return DataFileError(f"{path} is not {encoding}: it ends in the middle of a character. Copy or download it again.")


def encoding_advice(path: Path, encoding: str) -> str:
    """Return what to do about a file that does not match its encoding, by the bytes it has."""
    with open_bytes(path) as stream:
        wide = wide_encoding(stream.read(CHUNK_BYTES))
    if wide is not None:
        return f"It looks like {wide.upper()}: set data.encoding: {wide} in params.yaml."
    evidence = byte_evidence(path)
    if evidence.other_count == 0:
        return "It is valid UTF-8: set data.encoding: utf-8 in params.yaml."
    if evidence.utf8_lines > evidence.other_count // 20:
        lines = ", ".join(f"{line:,}" for line in evidence.other_lines) + (
            ", …" if evidence.other_count > len(evidence.other_lines) else ""
        )
        return (
            f"The file mixes encodings: {evidence.utf8_lines:,} other lines are UTF-8, {evidence.other_count:,} are "
            f"not (line {lines}). Write those lines again as UTF-8."
        )
    if evidence.mostly_high or (evidence.c1_bytes and not evidence.cp1252):
        return (
            "It is neither UTF-8 nor a Western encoding. Set data.encoding in params.yaml to what the file was written "
            "with, for example cp1251 (Cyrillic), shift_jis, gb18030, euc-kr, cp850 or mac-roman."
        )
    # Latin-1 has control characters where Windows-1252 has quotes, dashes and the euro sign.
    name = "cp1252" if evidence.c1_bytes else "latin-1"
    return f"If it comes from Excel or an older system, set data.encoding: {name} in params.yaml."


def likely_encoding(path: Path) -> str | None:
    """Return the encoding that the bytes of a file show, or None if they show none."""
    with open_bytes(path) as stream:
        wide = wide_encoding(stream.read(CHUNK_BYTES))
    if wide is not None:
        return wide
    evidence = byte_evidence(path)
    if evidence.other_count == 0:
        return "utf-8"
    is_mixed = evidence.utf8_lines > evidence.other_count // 20
    if is_mixed or evidence.mostly_high or (evidence.c1_bytes and not evidence.cp1252):
        return None
    return "cp1252" if evidence.c1_bytes else "latin-1"


def byte_evidence(path: Path) -> ByteEvidence:
    """Read the whole file and describe the bytes of its non-ASCII lines."""
    utf8_lines, count, other = 0, 0, bytearray()
    numbers: list[int] = []
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, start=1):
            if line.isascii():
                continue
            try:
                line.decode("utf-8")
                utf8_lines += 1
            except UnicodeDecodeError:
                count += 1
                if len(numbers) < MAX_LINES:
                    numbers.append(number)
                if len(other) < CHUNK_BYTES:
                    other += line
    high = other.translate(None, delete=bytes(range(0x80)))
    return ByteEvidence(
        utf8_lines=utf8_lines,
        other_lines=numbers,
        other_count=count,
        c1_bytes=any(byte in C1_BYTES for byte in set(high)),
        cp1252=not any(byte in UNDEFINED_IN_CP1252 for byte in set(high)),
        mostly_high=len(high) > len(other.translate(None, delete=bytes(set(range(256)) - set(ASCII_LETTERS)))),
    )
