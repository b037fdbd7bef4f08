"""`atnet monitor`: compare recent texts with held-out rows of the champion's data.

Exit codes: 0 no alarm, 3 alarm, 1 error, 2 wrong usage.
"""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from atnet.file_system import require_no_pipe
from atnet.monitoring.monitor import MonitorRequest, monitor
from atnet.monitoring.window_summary import summarize_window
from atnet.storage import load_params

app = typer.Typer()
ALARM_CODE = 3
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day (UTC) of the prediction log.")]


@app.command("monitor")
def monitor_windows(
    file: Annotated[
        Path | None,
        typer.Argument(
            exists=True, dir_okay=False, help="File of texts or of scored rows; without it, days of the prediction log."
        ),
    ] = None,
    since: Day = None,
    until: Day = None,
) -> None:
    """Compare recent texts with held-out rows of the champion's data.

    Exit code 0: no alarm; 3: alarm; 1: error.
    """
    if file is not None:
        require_no_pipe(file)
    request, state, windows = MonitorRequest(file, _day(since), _day(until)), "ok", 0
    for outcome in monitor(load_params(), Path.cwd(), request, now=datetime.now(UTC)):
        for line in summarize_window(outcome.record, outcome.inputs, outcome.measured, outcome.decision):
            print(f"monitor: {line}")
        print(f"monitor: report {outcome.report.relative_to(Path.cwd())}, {outcome.link}", flush=True)
        state, windows = outcome.record.state, windows + 1
    if not windows:
        print("monitor: nothing is due: the last whole day has been monitored. Choose days with --since and --until.")
    if state == "alarm":
        raise typer.Exit(ALARM_CODE)


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()
