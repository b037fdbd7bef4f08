"""Which texts are computed together: whatever is queued, taken in turn from every waiting request."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from atnet.serving.loaded_model import LoadedModel
from atnet.serving.prediction_jobs import PredictionJob

TURN_TEXTS = 32
"""Texts taken from one request before it is the next one's turn: single texts do not wait for the end of a list."""
BATCH_TEXTS = 256
CHARACTERS_PER_TOKEN = 4
"""Roughly, in European languages. It bounds how many texts are tokenized at once, not the size of a batch."""


@dataclass(slots=True)
class TextBatch:
    """Texts to be computed with one version."""

    model: LoadedModel
    items: list[tuple[PredictionJob, int]] = field(default_factory=list)
    """Job, and position of the text in it."""
    explain: bool = False

    @property
    def texts(self) -> list[str]:
        """The texts themselves."""
        return [job.texts[row] for job, row in self.items]


def take_batch(waiting: deque[PredictionJob], max_batch_tokens: int) -> TextBatch | None:
    """Take the next texts from the waiting jobs; None if nothing is left.

    Every job has its turn; one that still has texts goes to the end. An explanation is a separate batch.
    """
    batch: TextBatch | None = None
    characters = 0
    for _ in range(len(waiting)):
        job = waiting.popleft()
        if job.abandoned or job.model is None:
            continue
        if batch is None:
            batch = TextBatch(job.model, explain=job.explain)
        elif job.explain or batch.explain or job.model is not batch.model:
            waiting.append(job)
            continue
        end = min(len(job.texts), job.taken + (1 if job.explain else TURN_TEXTS))
        batch.items += [(job, row) for row in range(job.taken, end)]
        characters += sum(len(job.texts[row]) for row in range(job.taken, end))
        job.taken = end
        if end < len(job.texts):
            waiting.append(job)
        if characters >= CHARACTERS_PER_TOKEN * max_batch_tokens or len(batch.items) >= BATCH_TEXTS:
            break
    return batch


def padded_groups(lengths: Sequence[int], max_batch_tokens: int) -> Iterator[list[int]]:
    """Yield groups of rows, shortest texts first: each at most `max_batch_tokens` tokens with padding, or one text."""
    group: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        # In this order, a row is the longest of its group so far, and all are padded to its length.
        if group and lengths[row] * (len(group) + 1) > max_batch_tokens:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
