"""Detect a file's real type from its first bytes, and report what to do if it is not a table of texts."""

import codecs
import json
import re
from dataclasses import dataclass

from atnet.errors import DataFileError

PARQUET_MAGIC = b"PAR1"
TAR_MAGIC = slice(257, 262)
EXPORT = "Open it and export the table as CSV (UTF-8), or write it as Parquet from Python."
UNPACK = "Unpack it and set data.path to the file inside."
DOWNLOAD = "Download the file itself again."


@dataclass(frozen=True, slots=True)
class FileType:
    """A kind of file that cannot be read as labeled texts."""

    kind: str
    advice: str


MAGICS: tuple[tuple[bytes, FileType], ...] = (
    (b"version https://git-lfs.github.com/spec/", FileType("a Git LFS pointer, not the file", "Run `git lfs pull`.")),
    (b"SQLite format 3\0", FileType("a SQLite database", "Import a query with `dvc import-db`, or export it as CSV.")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileType("an old Excel workbook (.xls) or Office document", EXPORT)),
    (b"ARROW1", FileType("an Arrow or Feather file", "Write it as Parquet: pyarrow.parquet.write_table.")),
    (b"FEA1", FileType("a Feather file", "Write it as Parquet: pyarrow.parquet.write_table.")),
    (b"\x93NUMPY", FileType("a NumPy array", "Write the texts and labels as Parquet or CSV.")),
    (b"\x89HDF\r\n\x1a\n", FileType("an HDF5 file", "Write the table as Parquet: pandas.read_hdf, then to_parquet.")),
    (
        b"ORC\x0a",
        FileType("an ORC file", "Write it as Parquet: pyarrow.orc.read_table, then pyarrow.parquet.write_table."),
    ),
    (b"Obj\x01", FileType("an Avro file", "Write it as Parquet or JSON Lines.")),
    (b"RDX3\n", FileType("an R data file", "Write the table from R with write.csv(..., row.names = FALSE).")),
    (b"$FL2", FileType("an SPSS file", EXPORT)),
    (b"%PDF", FileType("a PDF document", "Export the table as CSV.")),
    (b"{\\rtf", FileType("an RTF document", "Export the table as CSV.")),
    (b"7z\xbc\xaf\x27\x1c", FileType("a 7z archive", UNPACK)),
    (b"Rar!", FileType("a RAR archive", UNPACK)),
    (b"BZh91AY", FileType("compressed with bzip2", "Unpack it, or compress it with gzip, which is read as it is.")),
    (b"\xfd7zXZ", FileType("compressed with xz", "Unpack it, or compress it with gzip, which is read as it is.")),
    (
        b"\x28\xb5\x2f\xfd",
        FileType("compressed with zstd", "Unpack it, or compress it with gzip, which is read as it is."),
    ),
    (
        b"\x04\x22\x4d\x18",
        FileType("compressed with lz4", "Unpack it, or compress it with gzip, which is read as it is."),
    ),
)
ZIP_MAGIC = b"PK\x03\x04"
ZIP_CONTENTS: tuple[tuple[bytes, FileType], ...] = (
    (b"opendocument.spreadsheet", FileType("a LibreOffice spreadsheet (.ods)", EXPORT)),
    (b"xl/", FileType("an Excel workbook (.xlsx)", EXPORT)),
    (b"word/", FileType("a Word document (.docx)", "Export the table as CSV.")),
)
PICKLE = re.compile(rb"\x80[\x02-\x05](\x95|[\]}(c\x8c])")
HTML = re.compile(rb"\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
DVC_POINTER = re.compile(rb"(#.*\n)*(md5: .*\n|frozen: .*\n|deps:\n(.+\n)+)*outs:\n- +(md5|hash|size|etag|path): ")


def unsupported_type(start: bytes) -> FileType | None:
    """Return what a file is that starts with these bytes, or None if it may be labeled texts.

    Args:
        start: the first bytes, unpacked if the file is compressed with gzip.
    """
    for magic, file_type in MAGICS:
        if start.startswith(magic):
            return file_type
    if start.startswith(ZIP_MAGIC):
        matches = (file_type for content, file_type in ZIP_CONTENTS if content in start)
        return next(matches, FileType("a zip archive", UNPACK))
    if start[TAR_MAGIC] == b"ustar":
        return FileType("a tar archive", UNPACK)
    if PICKLE.match(start):
        return FileType("a Python pickle", "Write the table as Parquet: DataFrame.to_parquet.")
    text = start.removeprefix(codecs.BOM_UTF8)
    if HTML.match(text):
        return FileType("an HTML page, perhaps a sign-in page", DOWNLOAD)
    if text.lstrip().startswith(b"<?xml"):
        return FileType("an XML file", "Convert it to CSV or JSON Lines.")
    if DVC_POINTER.match(text):
        return FileType("a .dvc file, not the data it tracks", "Set data.path to the name without .dvc.")
    return _json_type(text.lstrip())


def unsupported_type_error(path: object, start: bytes) -> DataFileError | None:
    """Return the error for a file of an unsupported type, or None."""
    file_type = unsupported_type(start)
    return None if file_type is None else DataFileError(f"{path} is {file_type.kind}. {file_type.advice}")


def starts_like_json_lines(start: bytes) -> bool:
    """Return whether the first line is a complete JSON object."""
    line = start.removeprefix(codecs.BOM_UTF8).lstrip().split(b"\n", 1)[0].strip()
    if not (line.startswith(b"{") and line.endswith(b"}")):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _json_type(text: bytes) -> FileType | None:
    if re.match(rb"\[\s*[{\[\]\"]", text):
        if b'"annotations"' in text and b'"data"' in text:
            return FileType("a Label Studio export", "Export it as CSV instead, with one label for each text.")
        return FileType(
            "a JSON array",
            "JSON Lines has one object per line, as `jq -c '.[]' old.json > new.jsonl` writes it.",
        )
    if re.match(rb"\{\s*\n\s*\"", text) and not starts_like_json_lines(text):
        return FileType(
            "JSON that is spread over several lines",
            "JSON Lines has one object per line, as `jq -c . old.json > new.jsonl` writes it.",
        )
    return None
