"""Run a command and start it again whenever it ends, until SIGTERM or Ctrl-C; each process of `make up` runs like this.

`python -m pipelines.keep_running NAME [OPTIONS] -- COMMAND`. Imports the standard library only, because one of these
processes stays in memory for each part.
"""

import argparse
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS = 1.0, 60.0
STABLE_SECONDS = 60.0
"""A command that ran for this long is restarted with the initial delay."""
STOP_SECONDS = 45.0
"""Time limit for a command and its children to stop; a flow may have to interrupt a stage."""
TICK_SECONDS, CHECK_SECONDS = 0.2, 1.0
STARTED_BY = "ATNET_UP_PID"
"""Process id of `make up`: without it everything stops, however it ended."""
LOCK_FILE = ".atnet/up-parts-{}.lock"
"""Locked in shared mode by every part with this stop order; a part stops when those of all lower orders are free."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process of `make up`."""

    name: str
    command: Sequence[str]
    url: str | None = None
    """Its address."""
    check: str = ""
    """Path of a request that succeeds only if the process works."""
    keep_children: bool = False
    """Whether children of an ended command keep running: a flow finishes its run."""
    interrupt: bool = False
    """Whether to stop it with Ctrl-C's signal, because Prefect's runner hangs after SIGTERM."""
    stop_order: int = 0
    """It stops after all parts with a lower number: flows report their end to servers, which store it in databases."""


@dataclass(slots=True)
class KeepRunning:
    """Runs the command of a process until it is asked to stop."""

    part: Part
    groups: list[int] = field(default_factory=list)
    """Process groups of the commands that were started; each command leads its own."""
    stopping: threading.Event = field(default_factory=threading.Event)
    starts: int = 0

    def run(self) -> None:
        """Start the command, start it again with a growing delay whenever it ends, and stop it on a signal."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        delay = FIRST_DELAY_SECONDS
        with _shared_lock(self.part.stop_order):
            while not self._must_stop():
                started = time.monotonic()
                code = self._run_once()
                if self._must_stop():
                    break
                delay = FIRST_DELAY_SECONDS if time.monotonic() - started > STABLE_SECONDS else delay
                _say(f"{self.part.name} ended with exit code {code} and restarts in {delay:g} s")
                self._wait(delay)
                delay = min(2 * delay, MAX_DELAY_SECONDS)
            for order in range(self.part.stop_order):
                _wait_until_free(order, STOP_SECONDS)
            self._end_groups()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping.set()

    def _must_stop(self) -> bool:
        starter = os.environ.get(STARTED_BY)
        if starter and not _is_alive(int(starter)):
            self.stopping.set()
        return self.stopping.is_set()

    def _run_once(self) -> int | None:
        """Run the command until it ends or a signal arrives; return its exit code, None if it still runs."""
        process = subprocess.Popen(self.part.command, start_new_session=True)
        self.groups.append(process.pid)
        self.starts += 1
        if self.part.url is not None:
            threading.Thread(target=self._announce, args=(process, self.starts), daemon=True).start()
        while process.poll() is None and not self._must_stop():
            time.sleep(TICK_SECONDS)
        if process.returncode is not None and not self.part.keep_children:
            # A child that keeps running would still hold the port.
            _signal_group(process.pid, signal.SIGKILL)
        return process.returncode

    def _announce(self, process: "subprocess.Popen[bytes]", start: int) -> None:
        """Print the address once the process responds there."""
        assert self.part.url is not None
        said = ""
        while process.poll() is None and not self.stopping.is_set() and said != "answers":
            state = request_state(self.part.url + self.part.check)
            if state is not None and state != said:
                said = state
                again = " again" if start > 1 else ""
                _say(f"{self.part.name}: {self.part.url} {state}{again}")
            time.sleep(CHECK_SECONDS)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._must_stop():
            time.sleep(TICK_SECONDS)

    def _end_groups(self) -> None:
        """Ask every process that was started to stop, and kill those that have not after the time limit."""
        for group in self.groups:
            _signal_group(group, signal.SIGINT if self.part.interrupt else signal.SIGTERM)
        end = time.monotonic() + STOP_SECONDS
        while any(_group_runs(group) for group in self.groups) and time.monotonic() < end:
            time.sleep(TICK_SECONDS)
        for group in self.groups:
            _signal_group(group, signal.SIGKILL)


def request_state(address: str) -> str | None:
    """Return how a process responds to a request; None if it does not."""
    try:
        with urllib.request.urlopen(address, timeout=5):
            return "answers"
    except urllib.error.HTTPError as error:
        if error.code != 503:
            return None
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return f"answers, but is not ready ({json.load(error)['status']})"
        return None
    except OSError:
        return None


@contextlib.contextmanager
def _shared_lock(order: int) -> Iterator[None]:
    with _lock_file(order) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def _wait_until_free(order: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    with _lock_file(order) as file:
        while time.monotonic() < end:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(TICK_SECONDS)
            else:
                return


def _lock_file(order: int) -> IO[str]:
    path = Path(LOCK_FILE.format(order))
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a")


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _group_runs(group: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        # The leader is this process's child: a zombie would count as running.
        os.waitpid(group, os.WNOHANG)
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _say(message: str) -> None:
    # `make up` may have ended, so nothing reads the output anymore.
    with contextlib.suppress(BrokenPipeError):
        print(message, flush=True)


def main() -> int:
    """Read the command line and run the process."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.keep_running", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--url", help="address at which the process responds; printed once it does")
    parser.add_argument("--check", default="", help="path of a request that succeeds only if the process works")
    parser.add_argument("--keep-children", action="store_true", help="let children of an ended command keep running")
    parser.add_argument("--interrupt", action="store_true", help="stop the command as Ctrl-C does")
    parser.add_argument("--stop-order", type=int, default=0, help="stop after all processes with a lower number")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    KeepRunning(Part(**vars(options))).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
