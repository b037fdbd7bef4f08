"""`release`: register the published model, judge it, and let it take the champion's place if it has earned it."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import filelock

from atnet import files
from atnet.config import Params
from atnet.errors import ModelError, ReleaseError
from atnet.inference import UnusableModelError, model_hash
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
)
from atnet.release.card_inputs import model_card
from atnet.release.gate_inputs import ReleaseOptions, weigh
from atnet.release.records import Record, gate_tags, record
from atnet.release.settling import settle
from atnet.release.transitions import BY_TAG, DEADLINE_TAG, PEOPLE_SAID_NO, promotion, rejection, waiting
from atnet.storage import project_root
from atnet.tracking import publish_from_files

LOCK = files.STATE / "release.lock"
LOCK_SECONDS = 5.0

Result = Literal["promoted", "rejected", "waiting", "unchanged"]


@dataclass(frozen=True, slots=True)
class ReleaseOutcome:
    """How a release ended."""

    result: Result
    version: int
    told: str
    """What happened, for people."""
    record: Record | None = None
    """The judgment; None where nothing was judged."""
    deadline: datetime | None = None
    """Until when a waiting version waits."""


def release(
    params: Params, root: Path, options: ReleaseOptions | None = None, *, tell: Callable[[str], None] = print
) -> ReleaseOutcome:
    """Judge the published model and act on the verdict. Safe to repeat, and to run again after a kill.

    Raises:
        ReleaseError: if another release is at work here, or the champion changed while this one judged.
        AtnetError: if the files or the store cannot be used.
    """
    options = options or ReleaseOptions()
    with _project_lock(root):
        sha256 = _model_sha256(root / files.MODEL)
        publish_from_files(params, root)
        registry = open_registry(params.tracking, root)
        challenger = _enter(registry, sha256, options, tell)
        if isinstance(challenger, ReleaseOutcome):
            return challenger
        champion = aliased(registry, CHAMPION)
        verdict = weigh(params, root, registry, challenger=challenger, champion=champion, options=options, tell=tell)
        card = model_card(params, root, registry, challenger, verdict)
        kept = record(registry, challenger, verdict, card)
        with registry_lock(registry):
            return _act(params, registry, challenger, champion, kept, options)


def _enter(
    registry: Registry, sha256: str, options: ReleaseOptions, tell: Callable[[str], None]
) -> Version | ReleaseOutcome:
    """Register the model as challenger, unless what is known of it already decides."""
    ensure_registered_model(registry)
    with registry_lock(registry):
        settle(registry, tell)
        champion = aliased(registry, CHAMPION)
        if champion is not None and champion.sha256 == sha256:
            return ReleaseOutcome(
                "unchanged", champion.number, f"version {champion.number} is this very model and is live."
            )
        challenger = register(registry, sha256)
        known = _known(challenger, options)
        if known is None:
            set_alias(registry, CHALLENGER, challenger.number)
        return known or challenger


def _known(challenger: Version, options: ReleaseOptions) -> ReleaseOutcome | None:
    """Say no more than was said: people's word on this model stands until they ask anew."""
    number = challenger.number
    if challenger.state == "waiting":
        deadline = datetime.fromisoformat(challenger.tags[DEADLINE_TAG])
        told = f"version {number} waits for a person until {deadline:%Y-%m-%d %H:%M} UTC: "
        return ReleaseOutcome(
            "waiting", number, f"{told}`atnet approve {number}` or `atnet reject {number}`.", deadline=deadline
        )
    if options.again or challenger.state not in PEOPLE_SAID_NO:
        return None
    told = f"version {number} was {challenger.state} by {challenger.tags.get(BY_TAG, 'a person')}; "
    return ReleaseOutcome("rejected", number, f"{told}`atnet release --again` judges it anew.")


def _act(
    params: Params,
    registry: Registry,
    challenger: Version,
    champion: Version | None,
    kept: Record,
    options: ReleaseOptions,
) -> ReleaseOutcome:
    """Act on the verdict, seeing first that it still is about the live champion."""
    settle(registry, lambda _: None)
    number, before = challenger.number, champion.number if champion else None
    now = aliases(registry).get(CHAMPION)
    if now != before:
        raise ReleaseError(
            f"The champion changed from version {before or 'none'} to {now or 'none'} while version {number} was "
            "judged (another release or a rollback). Nothing was moved; run `atnet release` again."
        )
    if kept.verdict.decision == "reject":
        move = rejection(registry, number, "rejected", kept.told, options.who, kept)
        commit(registry, move)
        return ReleaseOutcome("rejected", number, f"version {number} is rejected.", kept)
    if params.release.approval == "manual":
        deadline = datetime.now(UTC) + timedelta(hours=params.release.approval_timeout_hours)
        commit(registry, waiting(number, before, deadline, kept, options.who))
        told = f"version {number} has passed the gate and waits for a person until {deadline:%Y-%m-%d %H:%M} UTC: "
        return ReleaseOutcome(
            "waiting", number, f"{told}`atnet approve {number}` or `atnet reject {number}`.", kept, deadline
        )
    commit(registry, promotion(registry, number, kept.told, options.who, gate_tags(kept), kept.sha256))
    instead = f" instead of version {before}" if before else ""
    return ReleaseOutcome("promoted", number, f"version {number} is champion{instead}.", kept)


def _model_sha256(folder: Path) -> str:
    try:
        return model_hash(folder)
    except UnusableModelError as error:
        raise ModelError(str(error)) from error


@contextlib.contextmanager
def _project_lock(root: Path) -> Iterator[None]:
    path = project_root(root) / LOCK
    path.parent.mkdir(exist_ok=True)
    try:
        with filelock.FileLock(path, timeout=LOCK_SECONDS):
            yield
    except filelock.Timeout:
        raise ReleaseError(
            f"Another release is at work in this project: it holds {LOCK}. Run this one again when it has ended."
        ) from None
