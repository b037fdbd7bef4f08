"""`atnet migrate-store`: copy the store of a SQLite file to an MLflow server."""

from pathlib import Path
from typing import Annotated

import typer

from atnet.migration.migrate import migrate_store as migrate
from atnet.storage import load_params

app = typer.Typer()


@app.command(name="migrate-store")
def migrate_store(
    database: Annotated[Path, typer.Argument(help="The SQLite file of the store.")] = Path("mlflow.db"),
) -> None:
    """Copy runs, models, versions, aliases and ledger to the server that MLFLOW_TRACKING_URI names.

    Safe to repeat: what was copied before is kept, what is missing is added.
    """
    done = migrate(load_params(), Path.cwd(), database)
    aliases = ", ".join(f"{alias} = version {number}" for alias, number in sorted(done.aliases.items()))
    earlier = f" ({done.present_runs} were there already)" if done.present_runs else ""
    print(
        f"migrate-store: {done.copied_runs} runs copied to {done.address}{earlier}; {done.versions} versions, "
        f"{aliases or 'no released version'}, {done.ledger_lines} ledger lines; {done.files} files compared by SHA-256"
    )
    if done.open_runs:
        print(f"migrate-store: {done.open_runs} runs have not ended and were left out. Run the command again later.")
