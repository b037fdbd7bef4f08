"""Which texts are computed together: whatever is queued, taken in turns from every waiting request."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from atnet.serving.loaded_model import LoadedModel

TURN_TEXTS = 32
"""Texts taken from one request before the next has its turn: a long list does not keep single texts waiting."""
BATCH_TEXTS = 256
CHARACTERS_PER_TOKEN = 4
"""Roughly, in European languages. It bounds how many texts are tokenized at once, not what a batch holds."""


@dataclass(slots=True, eq=False)
class Job:
    """The texts of one request on their way to the answers."""

    texts: Sequence[str]
    explain: bool
    done: "asyncio.Future[None]"
    """Set in the event loop when every text has its answer, or with the error that prevents it."""
    request_id: str
    received: float
    """Both times in seconds of time.perf_counter()."""
    queued: float = 0.0
    model: LoadedModel | None = None
    """The version that answers: the one at hand when the job was queued. One request never mixes two."""
    taken: int = 0
    answered: int = 0
    abandoned: bool = False
    """The client has left or the time is up: what is not computed yet never will be."""
    answers: list[dict[str, Any] | None] = field(default_factory=list)


@dataclass(slots=True)
class Batch:
    """Texts to be computed with one model version."""

    model: LoadedModel
    items: list[tuple[Job, int]] = field(default_factory=list)
    """Job and position of the text in it."""
    explain: bool = False

    @property
    def texts(self) -> list[str]:
        """The texts themselves."""
        return [job.texts[row] for job, row in self.items]


def take_batch(waiting: deque[Job], batch_tokens: int) -> Batch | None:
    """Take the next texts from the waiting jobs; None if nothing is left.

    Every job has its turn; one with texts left goes to the end. An explanation is a batch of its own.
    """
    batch: Batch | None = None
    characters = 0
    for _ in range(len(waiting)):
        job = waiting.popleft()
        if job.abandoned or job.model is None:
            continue
        if batch is None:
            batch = Batch(job.model, explain=job.explain)
        elif job.explain or batch.explain or job.model is not batch.model:
            waiting.append(job)
            continue
        end = min(len(job.texts), job.taken + (1 if job.explain else TURN_TEXTS))
        batch.items += [(job, row) for row in range(job.taken, end)]
        characters += sum(len(job.texts[row]) for row in range(job.taken, end))
        job.taken = end
        if end < len(job.texts):
            waiting.append(job)
        if characters >= CHARACTERS_PER_TOKEN * batch_tokens or len(batch.items) >= BATCH_TEXTS:
            break
    return batch


def padded_groups(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Yield groups of rows, shortest texts first, each of at most `batch_tokens` tokens with padding, or one text."""
    group: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Sorted: this row is the longest of its group so far, and all are padded to it.
        if group and lengths[row] * (len(group) + 1) > batch_tokens:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
