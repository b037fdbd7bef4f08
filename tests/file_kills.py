"""Kill a command right before one of its changes of the project's files or one of its child processes."""

import signal
import subprocess
import sys

from tests.projects import Project

CODE = """
import os, signal, sys

root, limit = os.path.realpath(sys.argv.pop(1)), int(sys.argv.pop(1))
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR
changes = []


def count(event, arguments):
    if event == "subprocess.Popen":
        name = "start " + os.path.basename(str(arguments[0]))
    elif event in CHANGES or (event == "open" and (arguments[2] or 0) & WRITING):
        path = os.path.realpath(os.fsdecode(arguments[0])) if isinstance(arguments[0], (str, bytes)) else ""
        if not path.startswith(root + os.sep):
            return
        name = f"{event} {os.path.relpath(path, root)}"
    else:
        return
    changes.append(name)
    if len(changes) == limit:
        os.write(2, f"killed before: {name}\\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(count)
from atnet.cli.app import main

try:
    main()
finally:
    os.write(2, f"changes: {len(changes)}\\n".encode())
"""


def run_killed(project: Project, change: int, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run an `atnet` command that is killed before the given change, counted from 1; 0: never."""
    command = [sys.executable, "-c", CODE, str(project.root), str(change), *arguments]
    environment = project.environment(PYTHONDONTWRITEBYTECODE="1")
    finished = subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True, timeout=600)
    assert finished.returncode == (-signal.SIGKILL if change else 0), finished.stdout + finished.stderr
    return finished


def changes_of(finished: "subprocess.CompletedProcess[str]") -> int:
    """Return how many changes a command that was not killed has made."""
    return int(finished.stderr.rpartition("changes: ")[2].split()[0])


def files_of(project: Project) -> dict[str, bytes]:
    """Return the files that git sees, and the ignored ones below `data`, without DVC's own records."""
    names = project.git("ls-files", "--others", "--cached", "--exclude-standard").splitlines()
    folder = project.root / "data"
    names += [str(path.relative_to(project.root)) for path in folder.rglob("*")]
    paths = {name: project.root / name for name in sorted(set(names))}
    return {name: path.read_bytes() for name, path in paths.items() if path.is_file()}
