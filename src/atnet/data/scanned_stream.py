"""Pass the bytes of a delimited file through a scanner while the parser reads them."""

import codecs
import io
import threading
from typing import IO

from atnet.data.encodings import canonical_name
from atnet.data.quoting import QuoteScanner

DRAIN_BYTES = 1 << 24
STOP_SECONDS = 0.2
ASCII_TRANSPARENT = ("utf-8", "ascii", "iso8859", "cp125", "cp437", "cp85", "cp86", "koi8", "mac")
"""Encodings in which the bytes of quotes, separators and line breaks mean nothing else."""


class ScannedStream(io.RawIOBase):
    """A stream of UTF-8 or ASCII-transparent bytes that passes what is read through a scanner.

    PyArrow reads ahead in a thread of its own, and goes on after its parser has failed.
    """

    def __init__(self, source: IO[bytes], scanner: QuoteScanner, encoding: str) -> None:
        super().__init__()
        self._source, self._scanner = source, scanner
        self._decoder = None if is_transparent(encoding) else codecs.getincrementaldecoder(encoding)()
        self._pending = b""
        self._at_start = True
        self._lock, self._stopped, self._ended = threading.Lock(), False, threading.Event()

    def readable(self) -> bool:
        """Return True: the parser asks for it."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes; none once the stream has been stopped."""
        with self._lock:
            chunk = b"" if self._stopped else self._read_and_scan(size)
        if not chunk:
            self._ended.set()
        return chunk

    def stop(self) -> None:
        """End the stream for the parser, and wait for a read that is under way.

        A thread that still reads when the interpreter exits would abort the process.
        """
        with self._lock:
            self._stopped = True
        # A parser that is not reading never sees the end.
        self._ended.wait(STOP_SECONDS)

    def _read_and_scan(self, size: int) -> bytes:
        chunk = self._source.read(size) if self._decoder is None else self._decode(size)
        if self._at_start and chunk:
            self._at_start, chunk = False, chunk.removeprefix(codecs.BOM_UTF8)
        self._scanner.feed(chunk)
        return chunk

    def _decode(self, size: int) -> bytes:
        assert self._decoder is not None
        while not self._pending:
            raw = self._source.read(size)
            self._pending = self._decoder.decode(raw, final=not raw).encode()
            if not raw:
                break
        # The parser must not get more bytes than it has asked for.
        chunk, self._pending = self._pending[:size], self._pending[size:]
        return chunk

    def drain(self) -> None:
        """Scan the rest of the source, also after the stream was stopped."""
        try:
            with self._lock:
                while self._read_and_scan(DRAIN_BYTES):
                    pass
        except UnicodeDecodeError:
            return


def is_transparent(encoding: str) -> bool:
    """Return whether quotes, separators and line breaks are their ASCII bytes in an encoding."""
    return canonical_name(encoding).replace("_", "-").startswith(ASCII_TRANSPARENT)
