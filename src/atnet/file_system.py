"""Errors of the file system that the user can fix, as one message with the next step."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from atnet.errors import AtnetError, ConfigurationError, DataFileError

_FREE_SPACE = "Free some space and run the command again."
_PERMISSION = "Give this user write permission, or run the command as the owner."
_MOVE_AWAY = "Move it away and run the command again."
MESSAGES = {
    errno.ENOSPC: ("the disk is full", _FREE_SPACE),
    errno.EDQUOT: ("your disk quota is used up", _FREE_SPACE),
    errno.EROFS: ("the file system is read-only", "Mount it writable, or move the project."),
    errno.EACCES: ("permission denied", _PERMISSION),
    errno.EPERM: ("operation not permitted", _PERMISSION),
    errno.EFBIG: ("the file is too large", "The file system or `ulimit -f` limits it."),
    errno.EIO: ("the disk reports an input/output error", "Check the disk before anything else."),
    errno.ENXIO: ("the disk does not respond", "Check that it is connected and mounted."),
    errno.ENODEV: ("the disk does not respond", "Check that it is connected and mounted."),
    errno.ESTALE: ("the network file system has changed", "Mount it again and run the command again."),
    errno.EMFILE: ("too many files are open", "Raise the limit (`ulimit -n 4096`) and run the command again."),
    errno.ENFILE: ("too many files are open on this machine", "Close other programs and run the command again."),
    errno.ENAMETOOLONG: ("the path is too long", "Choose a shorter name, or move the project."),
    errno.ELOOP: ("symbolic links point at each other", "Correct the links."),
    errno.EISDIR: ("there is a folder where a file should be", _MOVE_AWAY),
    errno.ENOTDIR: ("there is a file where a folder should be", _MOVE_AWAY),
    errno.EEXIST: ("there is a file where a folder should be", _MOVE_AWAY),
}
"""Error number -> problem and next step. Other errors are likely to be our own and keep their traceback."""


def is_file_system_error(error: OSError) -> bool:
    """Return whether the user can fix the error by changing disk, permissions or limits."""
    return error.errno in MESSAGES


def file_system_message(error: OSError) -> str:
    """Return what happened, where, and the next step, for an error that the user can fix."""
    assert error.errno is not None
    problem, next_step = MESSAGES[error.errno]
    where = f": {error.filename}" if error.filename else ""
    return f"{problem}{where}. {next_step}"


@contextlib.contextmanager
def file_system_errors() -> Iterator[None]:
    """Turn errors of the file system into one message.

    Raises:
        AtnetError: naming the file and the next step.
    """
    try:
        yield
    except OSError as error:
        if not is_file_system_error(error):
            raise
        raise AtnetError(file_system_message(error)) from error


def require_no_pipe(path: Path) -> None:
    """Check that an input is not a pipe or device, which can be read only once and may never end.

    Raises:
        DataFileError: with the next step.
    """
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise DataFileError(f"{path} is a pipe or device, which can be read only once. Write it to a file first.")


def require_writable(path: Path) -> None:
    """Check that a file can be written at a path, before work whose result would be lost.

    Raises:
        ConfigurationError: naming the path and the reason.
    """
    if os.path.isdir(path):
        raise ConfigurationError(f"{path} is a folder. Give the path of a file.")
    # A rename would replace a device such as /dev/null.
    if os.path.lexists(path) and not (os.path.isfile(path) or os.path.islink(path)):
        raise ConfigurationError(f"{path} is not a file. Give the path of a file.")
    _require_writable(path, path.parent)


def require_writable_folder(folder: Path) -> None:
    """Check that files can be written to a folder, which need not exist.

    Raises:
        ConfigurationError: naming the folder and the reason.
    """
    _require_writable(folder, folder)


def _require_writable(path: Path, folder: Path) -> None:
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(parent))
    try:
        # The file has no name, or is deleted at once.
        with tempfile.TemporaryFile(dir=existing):
            return
    except FileNotFoundError:
        reason = f"no file can be created in {existing}"
    except NotADirectoryError:
        reason = f"{existing} is not a folder"
    except OSError as error:
        reason = f"{existing}: {error.strerror}"
    raise ConfigurationError(f"{path} cannot be written: {reason}. Choose another path.")
