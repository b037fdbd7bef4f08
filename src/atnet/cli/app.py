"""The command `atnet`: one file per command, imported only when the command is called.

To add a command, write `cli/NAME.py` with a Typer named `app` and add a line to COMMANDS.
"""

import importlib
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from atnet.cli.terminal import configure_logging
from atnet.environment import prepare_process
from atnet.errors import AtnetError
from atnet.file_system import file_system_errors
from atnet.redaction import redact

COMMANDS = {
    "init": "Propose settings for your own file, write them to params.yaml, add the file to DVC and check it.",
    "check": "Check parameters and data before DVC deletes any output.",
    "publish": "Complete the MLflow run of the model on disk; safe to repeat.",
    "refresh": "Read new data: update imports, add a changed data file again.",
    "summary": "Summarize the last pipeline run.",
    "doctor": "Check the machine, the project, the models, the servers and the schedules.",
    "ui": "Open MLflow's UI on the project's runs.",
    "release": "Run the gate on the published model; promote it if it passes.",
    "approve": "Promote the version that is waiting for approval.",
    "reject": "Reject the version that is waiting for approval.",
    "rollback": "Make the previous champion live again.",
    "history": "Show the ledger: who did what to which version, when and why.",
    "prune": "Delete old versions that no alias points at.",
    "lineage": "Show where a version comes from, or which versions were trained on a file or text.",
    "serve": "Serve the champion over HTTP and follow its promotions.",
    "score": "Score texts with the champion, in files, folders of partitions or SQL tables.",
    "monitor": "Compare recent texts with held-out rows of the champion's data.",
    "review": "List rows worth labeling; merge the completed list into the data.",
    "status": "Show the live model, the last release, training, window and backup, and the service.",
    "watch": "Send one notification for each failure, release, drift alarm and fault.",
    "backup": "Write the store, the ledger and the data's cache into one archive, and verify it.",
    "restore": "Restore a backup into a project without a store.",
    "migrate-store": "Copy runs, versions, aliases and ledger from a SQLite file to an MLflow server.",
    "tune": "Search for better training parameters on the validation split.",
    "analyze": "Analyze the data: learning curve, label issues.",
}
"""Command -> help. The command is the module of this name in this package, with _ for -."""


class CommandGroup(TyperGroup):
    """The commands; the broken pipe of a helper process is an error."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command.

        Raises:
            AtnetError: if a pipe is broken that is not standard output, for which click ends without a message.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            if not _stdout_is_open():
                raise
            raise AtnetError("a process that this command started has ended (broken pipe). Run it again.") from error


def _stdout_is_open() -> bool:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return False
    return True


def command_line(called: str | None) -> typer.Typer:
    """Build the command line, importing only the module of the command that is called.

    Importing all of them would take several seconds, also for `atnet --help`.
    """
    line = typer.Typer(
        name="atnet",
        cls=CommandGroup,
        help="Keep a text classifier trained, checked, tracked and released. Run it in the project folder.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    line.callback()(configure_logging)
    for name, description in COMMANDS.items():
        if name == called:
            line.add_typer(importlib.import_module(f"atnet.cli.{name.replace('-', '_')}").app)
        else:
            line.command(name, help=description)(_not_imported)
    return line


def _not_imported() -> None:
    raise AssertionError("a command was called whose module was not imported")


def main() -> None:
    """Run a command; an error that the user can fix ends in one message and exit code 1."""
    prepare_process()
    try:
        with file_system_errors():
            command_line(next((argument for argument in sys.argv[1:] if argument in COMMANDS), None))()
    except AtnetError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    print(f"atnet: {redact(message)}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
