"""What every act does first: finish what a kill left, and turn what waited too long into a no."""

from collections.abc import Callable
from datetime import UTC, datetime

from atnet.registry.transactions import commit, recover_pending
from atnet.registry.versions import Registry, versions
from atnet.release.transitions import DEADLINE_TAG, REFUSED, rejection


def settle(registry: Registry, tell: Callable[[str], None], *, now: datetime | None = None) -> None:
    """Bring the registry into order; call it with the registry locked."""
    finished = recover_pending(registry)
    if finished is not None:
        tell(f"an act that was cut short is finished: version {finished.version} {finished.act}")
    moment = now or datetime.now(UTC)
    for one in versions(registry):
        deadline = one.tags.get(DEADLINE_TAG)
        if one.state == "waiting" and deadline and datetime.fromisoformat(deadline) < moment:
            why = f"nobody approved it before {deadline[:16].replace('T', ' ')} UTC"
            commit(registry, rejection(registry, one.number, REFUSED, why, "time limit"))
            tell(f"version {one.number} is rejected: {why}")
