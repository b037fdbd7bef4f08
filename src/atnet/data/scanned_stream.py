"""Read a delimited file in blocks of whole records, and pass its bytes through a scanner on the way."""

import codecs
from collections.abc import Iterator
from typing import IO

from atnet.data.encodings import canonical_name
from atnet.data.quoting import MAX_CELL_BYTES, QuoteScanner

DRAIN_BYTES = 1 << 24


class LongRowError(ValueError):
    """A row is longer than MAX_CELL_BYTES."""


class ScannedStream:
    """The bytes of a delimited file in UTF-8, without a byte-order mark."""

    def __init__(self, source: IO[bytes], scanner: QuoteScanner, encoding: str) -> None:
        self._source, self._scanner = source, scanner
        is_utf8 = canonical_name(encoding).startswith("utf-8")
        self._decoder = None if is_utf8 else codecs.getincrementaldecoder(encoding)()
        self._at_start = True

    def record_blocks(self, block_bytes: int, *, quoted: bool) -> Iterator[bytes]:
        """Yield blocks of about `block_bytes` that end where a record ends.

        Args:
            block_bytes: read at once.
            quoted: whether a line break inside quotes belongs to a cell.

        Raises:
            UnicodeDecodeError: if the bytes do not match the encoding.
            LongRowError: if a row does not end.
        """
        pending = b""
        while chunk := self._read(block_bytes):
            pending += chunk
            end = len(pending) - self._scanner.pending_bytes if quoted else pending.rfind(b"\n") + 1
            if end > 0:
                yield pending[:end]
                pending = pending[end:]
            if len(pending) > MAX_CELL_BYTES:
                raise LongRowError
        if pending:
            yield pending

    def drain(self) -> None:
        """Scan the rest of the source."""
        try:
            while self._read(DRAIN_BYTES):
                pass
        except UnicodeDecodeError:
            return

    def _read(self, size: int) -> bytes:
        chunk = self._source.read(size) if self._decoder is None else self._decode(size)
        if self._at_start and chunk:
            self._at_start, chunk = False, chunk.removeprefix(codecs.BOM_UTF8) or self._source.read(size)
        self._scanner.feed(chunk)
        return chunk

    def _decode(self, size: int) -> bytes:
        assert self._decoder is not None
        while raw := self._source.read(size):
            # The first bytes may be a byte-order mark alone.
            if text := self._decoder.decode(raw):
                return text.encode()
        return self._decoder.decode(b"", final=True).encode()
