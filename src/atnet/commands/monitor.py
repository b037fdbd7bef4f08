"""`atnet monitor`: compare recent texts with held-out rows of the champion's data.

Exit codes: 0 no alarm, 3 alarm, 1 error, 2 wrong usage.
"""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
ALARM_CODE = 3
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day (UTC) of the prediction log.")]


@app.command()
def monitor(
    file: Annotated[Path | None, typer.Argument(help="File of texts; without it, days of the prediction log.")] = None,
    since: Day = None,
    until: Day = None,
) -> None:
    """Compare recent texts with held-out rows of the champion's data.

    Exit code 0: no alarm; 3: alarm; 1: error.
    """
    from atnet.storage import load_params

    params = load_params()
    from atnet.monitoring.sentences import summarize
    from atnet.monitoring.workflow import Request, monitor

    request, alarm, windows = Request(file, _day(since), _day(until)), False, 0
    for outcome in monitor(params, Path.cwd(), request, now=datetime.now(UTC)):
        for line in summarize(outcome.record, outcome.inputs, outcome.measured, outcome.decision):
            print(f"monitor: {line}")
        print(f"monitor: report {outcome.report.relative_to(Path.cwd())}, run {outcome.link}", flush=True)
        alarm, windows = outcome.record.state == "alarm", windows + 1
    if not windows:
        print("monitor: nothing is due: the last whole day is monitored already. Name days with --since and --until.")
    if alarm:
        raise typer.Exit(ALARM_CODE)


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()
