"""Show the progress of several fits: a bar on a terminal, occasional lines elsewhere."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

LINE_SECONDS = 10.0
"""Without a terminal, a line is printed when a fit ends this long after the last line."""


class FitProgress:
    """Counts fits and shows the result of the last one."""

    def __init__(self, fits: int, *, terminal: bool | None = None, line_seconds: float = LINE_SECONDS) -> None:
        """Prepare the display.

        Args:
            fits: how many there are at most; a search may stop earlier.
            terminal: whether to draw a bar; None: if standard error is a terminal.
            line_seconds: the time between two lines without a terminal.
        """
        self._fits = fits
        self._done = 0
        self._line_seconds = line_seconds
        self._last_line = time.monotonic()
        is_terminal = sys.stderr.isatty() if terminal is None else terminal
        self._bar = tqdm(total=fits, unit="fit", leave=False, mininterval=0) if is_terminal else None

    def __enter__(self) -> "FitProgress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def fitted(self, message: str) -> None:
        """Show that a fit has ended, with a line about it."""
        self._done += 1
        if self._bar is not None:
            self._bar.set_description_str(message, refresh=False)
            self._bar.update()
        elif time.monotonic() - self._last_line >= self._line_seconds:
            self._last_line = time.monotonic()
            print(f"fit {self._done} of at most {self._fits}: {message}", flush=True)
