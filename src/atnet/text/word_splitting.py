"""Split texts of any script into words: the definition that the tokenizer and the baselines share.

A token never contains white space and does not depend on what comes before or after white space. So the words of a text
are the words of its chunks between spaces, and each distinct chunk of a data set is split only once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Regex
from tokenizers.normalizers import NFC, NFD, Lowercase, Normalizer, StripAccents
from tokenizers.normalizers import Sequence as NormalizerSequence
from tokenizers.pre_tokenizers import PreTokenizer, Split

PADDING, UNKNOWN = "[PAD]", "[UNK]"
"""No text contains these tokens, because brackets are separate tokens."""
PADDING_ID, UNKNOWN_ID = 0, 1
BATCH_TEXTS = 50_000
"""Texts that are counted at once."""
MAX_CHUNKS = 1_000_000
"""Distinct chunks between spaces whose counts are kept before they are split into words."""
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
LETTER = rf"[\p{{L}}\p{{M}}\p{{N}}_&&[^{UNSPACED}]]"
EMOJI = "\\p{Extended_Pictographic}[\ufe0f\U0001f3fb-\U0001f3ff]*"
WORD_PATTERN = "|".join(
    (
        "[\U0001f1e6-\U0001f1ff]{2}",  # a flag: two regional letters
        "[0-9#*]\ufe0f?\u20e3",  # a keycap
        f"{EMOJI}(?:\u200d{EMOJI})*",  # an emoji with its skin tones, or several joined into one
        rf"[{UNSPACED}]\p{{M}}*",  # scripts without spaces: each character is a word
        f"{LETTER}+(?:['\u2019\u200c\u200d]{LETTER}+)*",  # don't, rock'n'roll; Persian and Indic words contain joiners
        r"\S\p{M}*",  # any other character alone; hyphens too: well-known is three tokens, two of them frequent
    )
)


def text_normalizer(*, lowercase: bool, strip_accents: bool) -> Normalizer:
    """Return the normalizer that makes variants of a word equal; NFC does it for composed and combining accents."""
    steps: list[Normalizer] = [NFD(), StripAccents()] if strip_accents else []
    steps += [Lowercase()] if lowercase else []
    return NormalizerSequence([*steps, NFC()])


def word_splitter() -> PreTokenizer:
    """Return the pre-tokenizer that splits a text into words, marks and emoji and drops white space."""
    return Split(Regex(WORD_PATTERN), behavior="removed", invert=True)


def count_words(texts: Sequence[str], normalizer: Normalizer, splitter: PreTokenizer) -> Counter[str]:
    """Count the words of texts; counts of batches add up to those of all texts."""
    batches = (texts[start : start + BATCH_TEXTS] for start in range(0, len(texts), BATCH_TEXTS))
    return merge_counts(map(count_chunks, batches), normalizer, splitter)


def count_chunks(texts: Sequence[str]) -> dict[str, int]:
    """Count the chunks between spaces of a batch of texts."""
    split = pc.split_pattern(pa.array(texts, pa.large_string()), " ")
    counts = pc.value_counts(split.flatten())
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def merge_counts(batches: Iterable[Mapping[str, int]], normalizer: Normalizer, splitter: PreTokenizer) -> Counter[str]:
    """Return the words of all batches from the counts of their chunks."""
    chunks: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for counts in batches:
        chunks.update(counts)
        if len(chunks) > MAX_CHUNKS:
            _add_words(words, chunks, normalizer, splitter)
            chunks.clear()
    _add_words(words, chunks, normalizer, splitter)
    return words


def _add_words(words: Counter[str], chunks: Counter[str], normalizer: Normalizer, splitter: PreTokenizer) -> None:
    for chunk, count in chunks.items():
        for word in _words(chunk, normalizer, splitter):
            words[word] += count


def split_words(texts: Iterable[str], normalizer: Normalizer, splitter: PreTokenizer) -> list[list[str]]:
    """Split each text into its words."""
    cache: dict[str, list[str]] = {}
    words_by_text = []
    for text in texts:
        words: list[str] = []
        for chunk in text.split(" "):
            if chunk not in cache:
                cache[chunk] = _words(chunk, normalizer, splitter)
            words += cache[chunk]
        words_by_text.append(words)
    return words_by_text


def _words(chunk: str, normalizer: Normalizer, splitter: PreTokenizer) -> list[str]:
    return [word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(chunk))]
