"""Example texts with the token ids and probabilities that a model predicted when it was published.

They are stored with the registered model, so that whoever loads it can check that it still predicts the same there:
another version of a library, a damaged file or another processor would be noticed.
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
"""Texts on which tokenizers are known to differ between versions."""


class Model(Protocol):
    """The part of a `Predictor` that the self-check uses; each version has its own `Predictor` class."""

    labels: tuple[str, ...]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text."""

    def predict(self, texts: Sequence[str]) -> Any:
        """Predict each text; the result has `probabilities` (N, C)."""


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """N texts and what the model predicted for them."""

    texts: list[str]
    labels: list[str]
    token_ids: list[list[int]]
    probabilities: list[list[float]]
    """(N, C)."""


def compute_self_check(model: Model, texts: Sequence[str]) -> SelfCheck:
    """Predict these texts and the fixed ones."""
    texts = [*texts, *FIXED_TEXTS]
    return SelfCheck(
        texts=texts,
        labels=list(model.labels),
        token_ids=[list(ids) for ids in model.encode(texts)],
        probabilities=model.predict(texts).probabilities.tolist(),
    )


def write_self_check(folder: Path, model: Model, texts: Sequence[str]) -> None:
    """Write the model's predictions of these texts and the fixed ones to its folder."""
    content = json.dumps(asdict(compute_self_check(model, texts)), ensure_ascii=True, indent=1)
    (folder / SELF_CHECK_FILE).write_text(content + "\n", encoding="utf-8")


def read_self_check(folder: Path) -> SelfCheck | None:
    """Read the predictions stored in a model's folder; None for a model that was published without them.

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


def find_deviation(model: Model, stored: SelfCheck) -> str | None:
    """Describe how the model's predictions differ from the stored ones; None if they do not."""
    if list(model.labels) != stored.labels:
        return f"its labels are {list(model.labels)}, at publication they were {stored.labels}"
    for row, (actual, expected) in enumerate(zip(model.encode(stored.texts), stored.token_ids, strict=True)):
        if list(actual) != expected:
            return f"the token ids of example {row} differ from those at publication"
    differences = np.abs(model.predict(stored.texts).probabilities - np.array(stored.probabilities)).max(axis=1)
    worst = int(differences.argmax())
    # Not >: a probability that is NaN must not pass.
    if not differences[worst] <= TOLERANCE:
        return f"a probability of example {worst} differs from that at publication by {differences[worst]:.2g}"
    return None
