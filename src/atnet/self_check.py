"""Example texts with the token ids and probabilities that a model gave when it was published.

They travel with the registered model, so that whoever loads it can see that it still gives the same answers there:
another version of a library, a damaged file or another processor would show.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

SELF_CHECK_FILE = "self_check.json"
TOLERANCE = 1e-4
"""Largest difference of a probability; processors round differently in the sixth digit."""
FIXED_TEXTS = (
    "",
    "   ",
    "I really like this, it is wonderful!",
    "This is not good at all; the worst I have seen in years.",
    "Não gostei nada disto, mas a canção é ótima.",
    "Größe, naïve café, ΑΒΓ, 日本語, العربية",
    "one two three four five six seven eight nine ten " * 20,
    "😀 👍🏽 http://example.org/?q=1 @user #tag :-)",
)
"""Texts that every tokenizer must treat the same way wherever it runs."""


class Model(Protocol):
    """What the self-check needs of a `Predictor`, whichever version's code it comes from."""

    labels: tuple[str, ...]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text."""

    def predict(self, texts: Sequence[str]) -> Any:
        """Return the probabilities of each text, as `Predictions`."""


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """N texts and what the model answered to them."""

    texts: list[str]
    labels: list[str]
    token_ids: list[list[int]]
    probabilities: list[list[float]]
    """(N, C)."""


def compute_self_check(model: Model, texts: Sequence[str]) -> SelfCheck:
    """Return the model's answers to these texts and to the fixed ones."""
    texts = [*texts, *FIXED_TEXTS]
    return SelfCheck(
        texts=texts,
        labels=list(model.labels),
        token_ids=[list(ids) for ids in model.encode(texts)],
        probabilities=model.predict(texts).probabilities.tolist(),
    )


def write_self_check(folder: Path, model: Model, texts: Sequence[str]) -> None:
    """Write the model's answers beside its files."""
    content = json.dumps(asdict(compute_self_check(model, texts)), ensure_ascii=True, indent=1)
    (folder / SELF_CHECK_FILE).write_text(content + "\n", encoding="utf-8")


def read_self_check(folder: Path) -> SelfCheck | None:
    """Read the answers stored beside a model's files; None for a model published without them.

    Raises:
        ValueError: if the file is damaged.
    """
    path = folder / SELF_CHECK_FILE
    if not path.exists():
        return None
    try:
        return SelfCheck(**json.loads(path.read_text(encoding="utf-8")))
    except TypeError as error:
        raise ValueError(f"{SELF_CHECK_FILE} is damaged ({error})") from error


def find_difference(model: Model, stored: SelfCheck) -> str | None:
    """Return how the model differs from its stored answers; None if it does not."""
    if list(model.labels) != stored.labels:
        return f"its labels are {list(model.labels)}, at publication they were {stored.labels}"
    for row, (now, then) in enumerate(zip(model.encode(stored.texts), stored.token_ids, strict=True)):
        if list(now) != then:
            return f"the token ids of example {row} differ from those at publication"
    differences = np.abs(model.predict(stored.texts).probabilities - np.array(stored.probabilities)).max(axis=1)
    worst = int(differences.argmax())
    # Not >: a probability that is not a number must not pass.
    if not differences[worst] <= TOLERANCE:
        return f"a probability of example {worst} differs from that at publication by {differences[worst]:.2g}"
    return None
