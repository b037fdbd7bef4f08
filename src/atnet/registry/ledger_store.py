"""The ledger where a team shares it: a tag per line on a run of its own, the end of the chain on the registered model.

Tags and not a file: a line is written by itself, so nobody writes over what another has added.
"""

import re

from mlflow.entities import RunTag

from atnet.registry.ledger import Entry, Event, Ledger, entries, head_of, history_markdown, next_entry
from atnet.registry.versions import Registry, guarded, model_tags, set_model_tag
from atnet.storage import project_root, write_text
from atnet.tracking.store import open_store
from atnet.tracking.tags import NOTE_TAG

HEAD_TAG = "release.ledger"
RUN_TAG = "ledger.of"
LINE_TAG = "ledger.{:06d}"
LINE_NAME = re.compile(r"ledger\.(\d{6,})")
NOTE_LINES = 50
"""Newest lines shown on the run's page."""
OPERATIONS = "{}-operations"
"""Experiment of the runs that train nothing."""
LOCAL_COPY = ".atnet/ledger.jsonl"


@guarded
def read_ledger(registry: Registry) -> Ledger:
    """Read the shared ledger; empty before the first release."""
    run_id = _find_run(registry, _experiment(registry))
    return Ledger(lines=_lines(registry, run_id) if run_id else {}, head=model_tags(registry).get(HEAD_TAG))


@guarded
def append(registry: Registry, event: Event) -> Entry:
    """Add an event unless the ledger has it; finish what a kill left half-way."""
    experiment = _experiment(registry)
    run_id = _find_run(registry, experiment) or _make_run(registry, experiment)
    lines = _lines(registry, run_id)
    found = entries(Ledger(lines, None))
    entry = next((one for one in found if one.event.id == event.id), None)
    if entry is None:
        entry = next_entry(found[-1] if found else None, event)
        # A line that cannot be read keeps its place: it is evidence, and nothing may be written over it.
        if entry.number <= max(lines, default=0):
            entry = Entry(max(lines) + 1, entry.event, entry.previous)
        registry.store.client.set_tag(run_id, LINE_TAG.format(entry.number), entry.line)
        lines[entry.number] = entry.line
        found.append(entry)
    if found[-1] == entry:
        set_model_tag(registry, HEAD_TAG, head_of(entry))
    registry.store.client.log_batch(run_id, tags=[RunTag(NOTE_TAG, history_markdown(found[-NOTE_LINES:])[:8000])])
    _write_copy(registry, lines)
    return entry


def local_lines(registry: Registry) -> list[str]:
    """Read the local copy, oldest line first; empty where there is none."""
    path = project_root(registry.root) / LOCAL_COPY
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def update_copy(registry: Registry, ledger: Ledger) -> None:
    """Bring the local copy up to the shared ledger; a copy that says otherwise is evidence and stays."""
    _write_copy(registry, dict(ledger.lines))


def _write_copy(registry: Registry, lines: dict[int, str]) -> None:
    local, shared = local_lines(registry), [lines[number] for number in sorted(lines)]
    whole = list(range(1, len(shared) + 1)) == sorted(lines)
    if whole and len(shared) > len(local) and shared[: len(local)] == local:
        write_text(project_root(registry.root) / LOCAL_COPY, "".join(f"{line}\n" for line in shared))


def _experiment(registry: Registry) -> str:
    config = registry.config
    operations = config.model_copy(update={"experiment": OPERATIONS.format(config.experiment)})
    return open_store(operations, registry.root).experiment_id


def _find_run(registry: Registry, experiment: str) -> str | None:
    runs = registry.store.client.search_runs(
        [experiment],
        f"tags.`{RUN_TAG}` = '{registry.model}'",
        max_results=1,
        order_by=["attributes.start_time ASC"],
    )
    return str(runs[0].info.run_id) if runs else None


def _make_run(registry: Registry, experiment: str) -> str:
    client = registry.store.client
    run = client.create_run(experiment, tags={RUN_TAG: registry.model}, run_name=f"release ledger of {registry.model}")
    client.set_terminated(run.info.run_id, "FINISHED")
    return str(run.info.run_id)


def _lines(registry: Registry, run_id: str) -> dict[int, str]:
    tags = registry.store.client.get_run(run_id).data.tags
    named = ((LINE_NAME.fullmatch(name), value) for name, value in tags.items())
    return {int(match[1]): value for match, value in named if match}
