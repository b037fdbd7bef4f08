"""Measure texts: length in characters and words, shares of replacement and control characters. Needs pyarrow only."""

import pyarrow as pa
import pyarrow.compute as pc

CONTROL_CHARACTERS = "[\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F\\x7F-\\x{9F}]"
"""RE2: everything of Unicode's class Cc except tab, newline and carriage return."""
VISIBLE_CHARACTER = (
    "[^\\p{Cc}\\p{Cf}\\p{Z}\\x{034F}\\x{115F}\\x{1160}\\x{17B4}\\x{17B5}\\x{180B}-\\x{180F}"
    "\\x{2800}\\x{3164}\\x{FE00}-\\x{FE0F}\\x{FFA0}\\x{E0000}-\\x{E0FFF}]"
)
"""RE2: no control, format or white space character, no filler, no variation selector."""


def measure_texts(texts: pa.Array) -> dict[str, pa.Array]:
    """Measure each text of a batch; a missing text has nulls.

    Returns:
        `characters`, `words` (separated by white space), `readable` (1 if a character is visible, else 0) and, per
        character, `replacement_fraction` and `nonprinting_fraction`.
    """
    characters = pc.utf8_length(texts)
    # At least 1, so that an empty text does not divide by zero.
    divisor = pc.cast(pc.max_element_wise(characters, 1, skip_nulls=False), pa.float64())
    return {
        "characters": characters,
        "words": pa.array([None if text is None else len(text.split()) for text in texts.to_pylist()], pa.int64()),
        "readable": pc.cast(pc.match_substring_regex(texts, VISIBLE_CHARACTER), pa.int8()),
        "replacement_fraction": pc.divide(pc.count_substring(texts, "\ufffd"), divisor),
        "nonprinting_fraction": pc.divide(pc.count_substring_regex(texts, CONTROL_CHARACTERS), divisor),
    }
