"""Small changes of a text that must not change its label."""

import hashlib
import unicodedata
from collections.abc import Callable
from typing import Literal, get_args

PerturbationName = Literal["typo", "upper case", "lower case", "trailing punctuation", "accents", "spaces"]
PERTURBATION_NAMES: tuple[PerturbationName, ...] = get_args(PerturbationName)

END_MARKS = ".!?…"
TYPO_LETTERS = 4
"""A word of fewer letters is left alone: a swap in it often makes another word."""


def change(text: str, name: PerturbationName) -> str:
    """Change a text; the same text always changes in the same way."""
    return _CHANGES[name](text)


def _typo(text: str) -> str:
    """Swap two neighboring inner letters of one word."""
    words = text.split(" ")
    long = [index for index, word in enumerate(words) if len(word) >= TYPO_LETTERS and word.isalpha()]
    if not long:
        return text
    # The text itself chooses, so that no case moves when another is added.
    chance = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    index = long[chance % len(long)]
    word = words[index]
    at = 1 + chance // len(long) % (len(word) - 3) if len(word) > TYPO_LETTERS else 1
    words[index] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)


def _trailing_punctuation(text: str) -> str:
    """Take the marks off the end, or add a full stop where there is none."""
    bare = text.rstrip(END_MARKS)
    return bare if bare != text else f"{text}."


def _without_accents(text: str) -> str:
    parts = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(mark for mark in parts if unicodedata.category(mark) != "Mn"))


def _spaces(text: str) -> str:
    return f" {text.replace(' ', '  ')}\n"


_CHANGES: dict[PerturbationName, Callable[[str], str]] = {
    "typo": _typo,
    "upper case": str.upper,
    "lower case": str.lower,
    "trailing punctuation": _trailing_punctuation,
    "accents": _without_accents,
    "spaces": _spaces,
}
