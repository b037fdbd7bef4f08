"""Find what to set so that a file can be read: its encoding and its columns, all at once."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from atnet.config import DataConfig, ValidateConfig
from atnet.data.all_columns import column_names
from atnet.data.column_settings import Setting, propose_label_settings, propose_settings
from atnet.data.columns import required_columns
from atnet.data.encodings import likely_encoding
from atnet.data.file_types import unsupported_type
from atnet.data.raw_bytes import CHUNK_BYTES, open_bytes
from atnet.data.reader import detect_format
from atnet.errors import DataError


def settings_to_read(path: Path, data: DataConfig, validate: ValidateConfig) -> Iterator[Setting]:
    """Yield the encoding and the columns to set so that the file can be read, as far as they are known."""
    with open_bytes(path) as stream:
        if unsupported_type(stream.read(CHUNK_BYTES)) is not None:
            return
    encoding = None
    try:
        encoding = likely_encoding(path) if detect_format(path, data) != "parquet" else None
    except DataError:
        # A file of another width, such as UTF-16; other faults of the file have no settings.
        encoding = likely_encoding(path)
    if encoding is not None and not _decodes(path, data.encoding):
        yield Setting("data.encoding", encoding, f"the file is not {data.encoding}")
        data = data.model_copy(update={"encoding": encoding})
    try:
        present = column_names(path, data)
    except DataError:
        return
    yield from propose_settings(present, data.columns)
    if any(name not in present for name in required_columns(data.columns)):
        yield from propose_label_settings(present, data.columns, validate)


def _decodes(path: Path, encoding: str) -> bool:
    """Return whether a text file can be decoded."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with open_bytes(path) as stream:
        try:
            while chunk := stream.read(CHUNK_BYTES):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeError:
            return False
    return True
