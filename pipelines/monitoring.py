"""The monitoring flow: monitor the windows that are due, notify of a change of state, start a training if advised.

It does what `atnet monitor` does. Run it without a deployment: `python -m pipelines.monitoring`.
"""

import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed, Failed

from atnet.cli.monitor import ALARM_CODE
from atnet.errors import AtnetError
from atnet.file_system import file_system_errors
from atnet.monitoring.monitor import MonitorRequest, monitor
from atnet.monitoring.notifications import Notification, mark_sent, unsent_notifications
from atnet.monitoring.window_records import WindowRecord
from atnet.monitoring.window_summary import summarize_window
from atnet.storage import load_params
from pipelines.missed_runs import SKIPPED, newer_run_is_due
from pipelines.scoring import network_task
from pipelines.tasks import prepare_run, run_flow, start_deployment

RESULT_KEY, NOTIFICATION_KEY = "monitoring-result", "monitoring-notification"
EVENT = "atnet.monitoring.{state}"
"""Name of the Prefect event emitted for a notification; automations can react to it."""
TRAINING = "training/training"
STATE_NAMES = {"alarm": "Alarm", "ok": "NoAlarm"}


@dataclass(frozen=True, slots=True)
class MonitoredWindow:
    """A monitored window, as the flow shows it."""

    record: WindowRecord
    report: Path


@network_task("monitor-windows")
def monitor_windows(request: MonitorRequest) -> list[MonitoredWindow]:
    """Monitor the requested windows, oldest first; windows that were recorded before a failure are not due again."""
    windows = []
    for outcome in monitor(load_params(), Path.cwd(), request, now=datetime.now(UTC)):
        for line in summarize_window(outcome.record, outcome.inputs, outcome.measured, outcome.decision):
            get_run_logger().info(line)
        windows.append(MonitoredWindow(outcome.record, outcome.report))
    return windows


@task(name="show-result", task_run_name="show the result", cache_policy=NO_CACHE)
def show_result(windows: list[MonitoredWindow]) -> None:
    """Show the windows as a table in Prefect's UI."""
    rows = [
        {
            "window": window.record.name,
            "rows": window.record.rows,
            "compared": window.record.compared,
            "result": window.record.result,
            "state": window.record.state,
            "action": window.record.action,
        }
        for window in windows
    ]
    report = windows[-1].report
    create_table_artifact(
        key=RESULT_KEY, table=rows, description=f"Report of the last window: [{report.name}]({report.as_uri()})."
    )


@task(name="notify", task_run_name="notify of {notification.state}", cache_policy=NO_CACHE)
def notify(notification: Notification) -> None:
    """Show a notification in Prefect's UI and emit an event that automations can react to."""
    get_run_logger().warning(notification.message)
    create_markdown_artifact(key=NOTIFICATION_KEY, markdown=notification.message, description=notification.id)
    emit_event(
        event=EVENT.format(state=notification.state),
        resource={
            "prefect.resource.id": f"atnet.model.{notification.model_sha256[:16]}",
            "prefect.resource.name": f"version {notification.model_version}",
        },
        payload={"message": notification.message, "action": notification.action, "window": notification.window},
        # The same after a retry, so that the server keeps one event.
        id=uuid5(NAMESPACE_URL, notification.id),
    )


@flow(name="monitoring")
def monitoring(
    path: Path | None = None, first: date | None = None, last: date | None = None, start_training: bool = True
) -> State:
    """Monitor the days that are due, or those from `first` to `last`, or a file."""
    prepare_run()
    try:
        if newer_run_is_due():
            return Completed(name=SKIPPED, message="A newer run is due and will monitor all remaining days.")
        with file_system_errors():
            return _monitor(MonitorRequest(path, first, last), start_training=start_training)
    except AtnetError as error:
        return Failed(message=str(error))


def _monitor(request: MonitorRequest, *, start_training: bool) -> State:
    params = load_params()
    log = params.serve.prediction_log
    if request.path is None and (log is None or not Path(log.folder).is_dir()):
        return Completed(name="NoPredictions", message="No predictions have been logged; there is nothing to monitor.")
    windows = monitor_windows(request)
    if windows:
        show_result(windows)
    folder = Path(params.monitor.output_folder)
    for notification in unsent_notifications(folder):
        notify(notification)
        if notification.action == "retrain" and start_training:
            get_run_logger().info(start_deployment(TRAINING, {"start_release": True}, key=notification.id))
        mark_sent(folder, notification)
    if not windows:
        return Completed(name="NothingDue", message="The last whole day has been monitored.")
    record = windows[-1].record
    return Completed(
        name=STATE_NAMES[record.state],
        message=f"{len(windows)} windows monitored; last: {record.name}, {record.result}. Next step: {record.action}.",
    )


def main() -> int:
    """Run the flow in this process; the exit codes are those of `atnet monitor`."""
    state = run_flow(monitoring, "monitoring")
    if state is None or not state.is_completed():
        return 1
    return ALARM_CODE if state.name == STATE_NAMES["alarm"] else 0


if __name__ == "__main__":
    sys.exit(main())
