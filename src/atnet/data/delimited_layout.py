"""Find the separator and the header of a delimited file from its first lines."""

import codecs
import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atnet.config import DataConfig
from atnet.data.columns import required_columns
from atnet.data.raw_bytes import open_bytes
from atnet.errors import ConfigurationError

SEPARATORS = (",", ";", "\t", "|")
HEAD_BYTES = 1 << 16
EXCEL_SEPARATOR = re.compile(r'"?sep=([^\r\n])"?\r?\n')
"""A first line that Excel interprets but does not show."""


@dataclass(frozen=True, slots=True)
class DelimitedLayout:
    """What the first lines of a file show."""

    separator: str
    header: list[str]
    skipped_rows: int
    """1 if the first line is Excel's `sep=`."""


def delimited_layout(path: Path, data: DataConfig) -> DelimitedLayout:
    """Read the first lines of a file.

    Raises:
        ConfigurationError: if `data.separator` is not one character.
    """
    with open_bytes(path) as stream:
        start = stream.read(HEAD_BYTES)
    head = codecs.getincrementaldecoder(data.encoding)("replace").decode(start).removeprefix("\ufeff").lstrip("\r\n")
    excel = EXCEL_SEPARATOR.match(head)
    head = head[excel.end() :] if excel else head

    def header(separator: str) -> list[str]:
        quoting: Any = csv.QUOTE_NONE if data.quoting == "none" else csv.QUOTE_MINIMAL
        return next(csv.reader(io.StringIO(head, newline=""), delimiter=separator, quoting=quoting), [])

    separator = _separator(path, data, header, excel.group(1) if excel else None)
    return DelimitedLayout(separator, header(separator), skipped_rows=1 if excel else 0)


def _separator(path: Path, data: DataConfig, header: Callable[[str], list[str]], excel: str | None) -> str:
    configured = data.separator
    if configured == "auto":
        if excel is not None:
            return excel
        # Only the header decides: texts are full of commas. Ties go to the first; in a .tsv file that is the tab.
        order = ("\t", *SEPARATORS) if ".tsv" in (suffix.lower() for suffix in path.suffixes) else SEPARATORS
        required = set(required_columns(data.columns))
        return max(order, key=lambda candidate: _header_score(header(candidate), required))
    if len(configured) != 1 or not configured.isascii() or configured in '"\r\n':
        raise ConfigurationError(
            f"data.separator is {configured!r}: it must be auto or one plain character such as ';' (a tab is \"\\t\")."
        )
    return configured


def _header_score(header: list[str], required: set[str]) -> tuple[int, int]:
    return len(required.intersection(header)), len(header)
