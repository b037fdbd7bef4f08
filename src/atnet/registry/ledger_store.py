"""Where the ledger is stored: a tag per line on a dedicated run, its head on the registered model, a local copy.

Tags, not a file: each line is written separately, so no process overwrites a line that another one has added.
"""

import re

from mlflow.entities import Run, RunTag

from atnet.files import STATE
from atnet.registry.ledger import Ledger, LedgerEntry, LedgerEvent, entries, head_of, history_markdown, next_entry
from atnet.registry.versions import Registry, model_tags, set_model_tag, store_call
from atnet.storage import project_root, write_text
from atnet.tracking.store import open_store
from atnet.tracking.tags import NOTE_TAG

HEAD_TAG = "release.ledger"
RUN_TAG = "ledger.of"
LINE_TAG = "ledger.{:06d}"
LINE_NAME = re.compile(r"ledger\.(\d{6,})")
NOTE_LINES = 50
"""Newest lines shown on the run's page."""
NOTE_CHARACTERS = 8000
OPERATIONS_EXPERIMENT = "{}-operations"
"""Experiment of the runs that train nothing."""
LOCAL_COPY = STATE / "ledger.jsonl"


@store_call
def read_ledger(registry: Registry) -> Ledger:
    """Read the shared ledger, writing nothing; it is empty before the first release."""
    experiment = registry.store.client.get_experiment_by_name(_experiment_name(registry))
    run = _find_run(registry, experiment.experiment_id) if experiment else None
    return Ledger(lines=_lines(registry, run.info.run_id) if run else {}, head=model_tags(registry).get(HEAD_TAG))


@store_call
def append(registry: Registry, event: LedgerEvent) -> LedgerEntry:
    """Add an event unless the ledger has it already, and complete what a kill interrupted."""
    experiment = _open_experiment(registry)
    run = _find_run(registry, experiment) or _create_run(registry, experiment)
    run_id = run.info.run_id
    # It trains nothing, so it never shows as running.
    if run.info.status != "FINISHED":
        registry.store.client.set_terminated(run_id, "FINISHED")
    lines = _lines(registry, run_id)
    present = entries(Ledger(lines, None))
    entry = next((entry for entry in present if entry.event.id == event.id), None)
    if entry is None:
        entry = next_entry(present[-1] if present else None, event)
        # A line that cannot be parsed keeps its number: it is evidence, and must not be overwritten.
        if entry.number <= max(lines, default=0):
            entry = LedgerEntry(max(lines) + 1, entry.event, entry.previous)
        registry.store.client.set_tag(run_id, LINE_TAG.format(entry.number), entry.line)
        lines[entry.number] = entry.line
        present.append(entry)
    if present[-1] == entry:
        set_model_tag(registry, HEAD_TAG, head_of(entry))
    note = history_markdown(present[-NOTE_LINES:])[:NOTE_CHARACTERS]
    registry.store.client.log_batch(run_id, tags=[RunTag(NOTE_TAG, note)])
    _write_copy(registry, lines)
    return entry


def find_event(registry: Registry, event_id: str) -> LedgerEvent | None:
    """Return the event with this id; None if the ledger does not have it."""
    events = (entry.event for entry in entries(read_ledger(registry)))
    return next((event for event in events if event.id == event_id), None)


def local_lines(registry: Registry) -> list[str]:
    """Read the local copy, oldest line first; empty if there is none."""
    path = project_root(registry.root) / LOCAL_COPY
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def update_copy(registry: Registry, ledger: Ledger) -> None:
    """Extend the local copy to the shared ledger; a copy that differs from it is evidence and is left unchanged."""
    _write_copy(registry, dict(ledger.lines))


def _write_copy(registry: Registry, lines: dict[int, str]) -> None:
    local, shared = local_lines(registry), [lines[number] for number in sorted(lines)]
    complete = list(range(1, len(shared) + 1)) == sorted(lines)
    if complete and len(shared) > len(local) and shared[: len(local)] == local:
        write_text(project_root(registry.root) / LOCAL_COPY, "".join(f"{line}\n" for line in shared))


def _experiment_name(registry: Registry) -> str:
    return OPERATIONS_EXPERIMENT.format(registry.config.experiment)


def _open_experiment(registry: Registry) -> str:
    config = registry.config.model_copy(update={"experiment": _experiment_name(registry)})
    return open_store(config, registry.root).experiment_id


def _find_run(registry: Registry, experiment: str) -> Run | None:
    runs = registry.store.client.search_runs(
        [experiment],
        f"tags.`{RUN_TAG}` = '{registry.model}'",
        max_results=1,
        order_by=["attributes.start_time ASC"],
    )
    return runs[0] if runs else None


def _create_run(registry: Registry, experiment: str) -> Run:
    name = f"release ledger of {registry.model}"
    return registry.store.client.create_run(experiment, tags={RUN_TAG: registry.model}, run_name=name)


def _lines(registry: Registry, run_id: str) -> dict[int, str]:
    tags = registry.store.client.get_run(run_id).data.tags
    matches = ((LINE_NAME.fullmatch(name), value) for name, value in tags.items())
    return {int(match[1]): value for match, value in matches if match}
