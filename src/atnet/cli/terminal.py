"""The terminal of a command: where log messages go."""

import logging
import sys


class TerminalHandler(logging.Handler):
    """Prints the project's log messages: progress to standard output, warnings and errors to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        message = self.format(record)
        if record.levelno >= logging.WARNING:
            print(f"{record.levelname.lower()}: {message}", file=sys.stderr, flush=True)
        else:
            print(message, flush=True)


def configure_logging() -> None:
    """Send the log messages of the library to the terminal."""
    logger = logging.getLogger("atnet")
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, TerminalHandler) for handler in logger.handlers):
        logger.addHandler(TerminalHandler())
