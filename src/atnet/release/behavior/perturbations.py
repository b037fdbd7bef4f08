"""Perturbations of a text that must not change its label."""

import hashlib
import unicodedata
from collections.abc import Callable
from typing import Literal, get_args

PerturbationName = Literal["typo", "upper case", "lower case", "trailing punctuation", "accents", "spaces"]
PERTURBATION_NAMES: tuple[PerturbationName, ...] = get_args(PerturbationName)

END_MARKS = ".!?…"
TYPO_MIN_LENGTH = 4
"""Shorter words are not changed: swapping their characters often makes another word."""


def perturb(text: str, name: PerturbationName) -> str:
    """Return the perturbed text; the same text is always perturbed in the same way."""
    return _PERTURBATIONS[name](text)


def _typo(text: str) -> str:
    """Swap two neighboring inner characters of one word."""
    words = text.split(" ")
    candidates = [index for index, word in enumerate(words) if len(word) >= TYPO_MIN_LENGTH and word.isalpha()]
    if not candidates:
        return text
    # Chosen by a hash of the text, so that adding a case changes no other.
    digest = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    index = candidates[digest % len(candidates)]
    word = words[index]
    position = 1 + digest // len(candidates) % (len(word) - 3) if len(word) > TYPO_MIN_LENGTH else 1
    words[index] = word[:position] + word[position + 1] + word[position] + word[position + 2 :]
    return " ".join(words)


def _trailing_punctuation(text: str) -> str:
    """Remove the punctuation at the end, or add a full stop if there is none."""
    stripped = text.rstrip(END_MARKS)
    return stripped if stripped != text else f"{text}."


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text)
    base = "".join(character for character in decomposed if unicodedata.category(character) != "Mn")
    return unicodedata.normalize("NFC", base)


def _spaces(text: str) -> str:
    return f" {text.replace(' ', '  ')}\n"


_PERTURBATIONS: dict[PerturbationName, Callable[[str], str]] = {
    "typo": _typo,
    "upper case": str.upper,
    "lower case": str.lower,
    "trailing punctuation": _trailing_punctuation,
    "accents": _without_accents,
    "spaces": _spaces,
}
