"""What a word is: the one definition that the tokenizer and the baselines share, for any script.

A token never holds white space and does not depend on what stands beyond it. So the words of a text are the words
of its pieces between spaces, and each different piece of a whole data set is looked at once.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Regex
from tokenizers.normalizers import NFC, NFD, Lowercase, Normalizer, StripAccents
from tokenizers.normalizers import Sequence as NormalizerSequence
from tokenizers.pre_tokenizers import PreTokenizer, Split

PADDING, UNKNOWN = "[PAD]", "[UNK]"
"""Ids 0 and 1. No text holds these tokens: brackets are tokens by themselves."""
PARTITION = 50_000
"""Texts that are counted at once."""
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
LETTER = rf"[\p{{L}}\p{{M}}\p{{N}}_&&[^{UNSPACED}]]"
PICTURE = "\\p{Extended_Pictographic}[\ufe0f\U0001f3fb-\U0001f3ff]*"
WORD_PATTERN = "|".join(
    (
        "[\U0001f1e6-\U0001f1ff]{2}",  # a flag: two regional letters
        "[0-9#*]\ufe0f?\u20e3",  # a keycap
        f"{PICTURE}(?:\u200d{PICTURE})*",  # an emoji with its skin tones, or several joined to one
        rf"[{UNSPACED}]\p{{M}}*",  # scripts without spaces: each character is a word
        f"{LETTER}+(?:['\u2019\u200c\u200d]{LETTER}+)*",  # don't, rock'n'roll; the joiners are Persian and Indic
        r"\S\p{M}*",  # any other sign by itself; hyphens too: well-known is three tokens, of which two are frequent
    )
)


def text_normalizer(*, lowercase: bool, strip_accents: bool) -> Normalizer:
    """Fold the forms of a text that are to be the same token; NFC makes composed and combining accents equal."""
    steps: list[Normalizer] = [NFD(), StripAccents()] if strip_accents else []
    steps += [Lowercase()] if lowercase else []
    return NormalizerSequence([*steps, NFC()])


def word_splitter() -> PreTokenizer:
    """Give the pre-tokenizer that parts a text into words, marks and emoji and drops white space."""
    return Split(Regex(WORD_PATTERN), behavior="removed", invert=True)


def count_words(texts: Sequence[str], normalizer: Normalizer, splitter: PreTokenizer) -> Counter[str]:
    """Count the words of one partition; counts of partitions add up to those of the whole."""
    pieces: Counter[str] = Counter()
    for start in range(0, len(texts), PARTITION):
        parted = pc.split_pattern(pa.array(texts[start : start + PARTITION], pa.large_string()), " ")
        counted = pc.value_counts(parted.flatten())
        pieces.update(dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)))
    words: Counter[str] = Counter()
    for piece, count in pieces.items():
        for word in _words(piece, normalizer, splitter):
            words[word] += count
    return words


def split_words(texts: Iterable[str], normalizer: Normalizer, splitter: PreTokenizer) -> list[list[str]]:
    """Part each text into its words."""
    known: dict[str, list[str]] = {}
    parted = []
    for text in texts:
        words: list[str] = []
        for piece in text.split(" "):
            if piece not in known:
                known[piece] = _words(piece, normalizer, splitter)
            words += known[piece]
        parted.append(words)
    return parted


def _words(piece: str, normalizer: Normalizer, splitter: PreTokenizer) -> list[str]:
    return [word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(piece))]
