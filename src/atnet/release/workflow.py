"""`atnet release`: register the published model, run the gate, and promote the model if it passes."""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

from atnet import files
from atnet.config import Params, ReleaseConfig
from atnet.errors import ModelError, ReleaseError
from atnet.inference import UnusableModelError, model_hash
from atnet.registry.ledger import LedgerEvent
from atnet.registry.lock import registry_lock
from atnet.registry.transactions import commit
from atnet.registry.versions import (
    CHALLENGER,
    CHAMPION,
    Registry,
    Version,
    aliased,
    aliases,
    ensure_registered_model,
    open_registry,
    register,
    set_alias,
    version,
)
from atnet.release.command import Command, command_run
from atnet.release.gate.gate_checks import decide, unservable
from atnet.release.gate.measurements import measure
from atnet.release.gate.result import CheckResult, GateResult
from atnet.release.gate_inputs import Candidate, IsolationOptions, collect_gate_inputs
from atnet.release.model_card import model_card
from atnet.release.records import GateRecord, gate_tags, load_record, save_result
from atnet.release.transitions import (
    DEADLINE_TAG,
    DECIDED_BY_USER,
    PENDING_APPROVAL,
    PROMOTED,
    REJECTED,
    USER_TAG,
    await_approval,
    promote,
    recover,
    reject,
)
from atnet.storage import exclusive_lock, project_root
from atnet.tracking import publish_from_files

logger = logging.getLogger(__name__)

LOCK = files.STATE / "release.lock"
LOCK_SECONDS = 5.0
BUSY = f"Another release is running in this project: it holds {LOCK}. Run this one again when it has finished."

Result = Literal["promoted", "rejected", "pending_approval", "unchanged"]


@dataclass(frozen=True, slots=True)
class ReleaseOptions:
    """The user's options."""

    isolation: IsolationOptions = field(default_factory=IsolationOptions)
    again: bool = False
    """Run the gate again for a version that users rejected or rolled back."""
    user: str | None = None
    """The user to record in the ledger; None: the user of this process."""


@dataclass(frozen=True, slots=True)
class ReleaseOutcome:
    """How a release ended."""

    result: Result
    version: int
    message: str
    record: GateRecord | None = None
    """The gate's result; None if the gate was not run."""
    deadline: datetime | None = None
    """Until when a version is waiting for approval."""


def release(params: Params, root: Path, options: ReleaseOptions, *, now: datetime) -> ReleaseOutcome:
    """Run the gate on the published model and act on the result. Safe to repeat, also after a kill.

    Raises:
        ReleaseError: if another release is running here, or the champion changed while the gate was running.
        ProcessInterrupted: if a model's process was killed: nothing is decided then.
        AtnetError: if files or the store cannot be used.
    """
    with exclusive_lock(project_root(root) / LOCK, BUSY, error=ReleaseError, timeout_seconds=LOCK_SECONDS):
        sha256 = _published_model(params, root)
        registry = open_registry(params.tracking, root)
        arguments = {"model": sha256, "again": options.again}
        with command_run(registry, "release", arguments, user=options.user, now=now) as command:
            candidate = register_candidate(registry, sha256, options, command)
            if isinstance(candidate, ReleaseOutcome):
                return candidate
            result = run_gate(params.release, root, registry, candidate, options.isolation)
            card = model_card(params, root, registry, candidate.challenger, result)
            record = save_result(registry, candidate.challenger, result, card)
            with registry_lock(registry):
                return apply_result(params.release, registry, candidate, record, command)


def register_candidate(
    registry: Registry, sha256: str, options: ReleaseOptions, command: Command
) -> Candidate | ReleaseOutcome:
    """Register the model as challenger, unless its outcome is known already."""
    ensure_registered_model(registry)
    with registry_lock(registry):
        recover(registry, command.now)
        completed = command.completed_event(registry)
        champion = aliased(registry, CHAMPION)
        if completed is not None and completed.action != PROMOTED:
            return _completed(registry, completed)
        if champion is not None and champion.sha256 == sha256:
            return ReleaseOutcome("unchanged", champion.number, f"version {champion.number} is this model and is live.")
        challenger = register(registry, sha256)
        decided = _decided(challenger, options)
        if decided is not None:
            return decided
        set_alias(registry, CHALLENGER, challenger.number)
        return Candidate(challenger, champion)


def run_gate(
    config: ReleaseConfig, root: Path, registry: Registry, candidate: Candidate, isolation: IsolationOptions
) -> GateResult:
    """Collect inputs, measure and decide."""
    inputs = collect_gate_inputs(config, root, registry, candidate, isolation)
    if isinstance(inputs, CheckResult):
        champion = candidate.champion.sha256 if candidate.champion else None
        return unservable(inputs, config, challenger=candidate.challenger.sha256, champion=champion)
    logger.info("Version %s: running the gate.", candidate.challenger.number)
    return decide(measure(inputs, config, np.random.default_rng(config.seed)), config)


def apply_result(
    config: ReleaseConfig, registry: Registry, candidate: Candidate, record: GateRecord, command: Command
) -> ReleaseOutcome:
    """Move the aliases as the gate decided, if the champion is still the one it compared with.

    Raises:
        ReleaseError: if the champion has changed.
    """
    recover(registry, command.now)
    challenger, number = candidate.challenger, candidate.challenger.number
    champion = candidate.champion.number if candidate.champion else None
    current = aliases(registry).get(CHAMPION)
    if current != champion:
        raise ReleaseError(
            f"The champion changed from version {champion or 'none'} to {current or 'none'} while the gate judged "
            f"version {number} (another release or a rollback). No alias moved; run `atnet release` again."
        )
    tags, reason = gate_tags(record), record.summary
    if record.result.decision == "reject":
        commit(registry, reject(registry, challenger, command, state=REJECTED, reason=reason, tags=tags))
        return ReleaseOutcome("rejected", number, f"version {number} is rejected.", record)
    if config.approval == "manual":
        deadline = command.now + timedelta(hours=config.approval_timeout_hours)
        commit(registry, await_approval(number, champion, command, deadline=deadline, reason=reason, tags=tags))
        return _pending(number, deadline, record)
    commit(registry, promote(registry, number, command, reason=reason, gate_sha256=record.sha256, tags=tags))
    replaced = f", replacing version {champion}" if champion else ""
    return ReleaseOutcome("promoted", number, f"version {number} is champion{replaced}.", record)


def _published_model(params: Params, root: Path) -> str:
    try:
        sha256 = model_hash(root / files.MODEL)
    except UnusableModelError as error:
        raise ModelError(str(error)) from error
    publish_from_files(params, root)
    return sha256


def _decided(challenger: Version, options: ReleaseOptions) -> ReleaseOutcome | None:
    """Return the outcome if users have decided on this version, or still have to."""
    number = challenger.number
    if challenger.state == PENDING_APPROVAL:
        return _pending(number, datetime.fromisoformat(challenger.tags[DEADLINE_TAG]))
    if options.again or challenger.state not in DECIDED_BY_USER:
        return None
    user = challenger.tags.get(USER_TAG, "a user")
    state = challenger.state.replace("_", " ")
    message = f"version {number} was {state} ({user}); `atnet release --again` runs the gate again."
    return ReleaseOutcome("rejected", number, message)


def _completed(registry: Registry, event: LedgerEvent) -> ReleaseOutcome:
    """Return the outcome that an interrupted run of this command has already reached."""
    assert event.version is not None
    record = load_record(registry, event.version)
    if event.action == PENDING_APPROVAL:
        deadline = version(registry, event.version).tags[DEADLINE_TAG]
        return _pending(event.version, datetime.fromisoformat(deadline), record)
    return ReleaseOutcome("rejected", event.version, f"version {event.version} is rejected.", record)


def _pending(number: int, deadline: datetime, record: GateRecord | None = None) -> ReleaseOutcome:
    message = (
        f"version {number} passed the gate and is waiting for approval until {deadline:%Y-%m-%d %H:%M} UTC: "
        f"`atnet approve {number}` or `atnet reject {number}`."
    )
    return ReleaseOutcome("pending_approval", number, message, record, deadline)
