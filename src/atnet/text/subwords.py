"""Subword vocabularies: BPE merges and unigram pieces, with the same bytes for the same texts.

The unigram trainer of `tokenizers` visits its words in an order that changes with every process, and so do its sums
and its pieces. Here the pieces are fitted by hard expectation-maximization (Kudo 2018, with the best segmentation in
place of all segmentations): the library's own model segments the words, counts are integers, and ties go to the lower
piece.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE, Model, Unigram
from tokenizers.normalizers import Normalizer, Replace, Strip
from tokenizers.normalizers import Sequence as NormalizerSequence
from tokenizers.pre_tokenizers import Metaspace, PreTokenizer, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizerSequence
from tokenizers.trainers import BpeTrainer

from atnet.text.word_splitting import PADDING, UNKNOWN, WORD_PATTERN

WORD_START = "\u2581"
MAX_PIECE_CHARACTERS = 12
TRAINING_WORDS = 200_000
"""The most frequent words, from which unigram pieces are learned."""
SEED_FACTOR = 4
"""Initial pieces per final piece."""
SHRINKING_FACTOR = 0.75
"""Share of the pieces that survives a pruning round."""
PASSES_PER_ROUND = 2

Scores = dict[str, float]
"""Piece -> log-probability."""


def subword_normalizer(normalizer: Normalizer) -> Normalizer:
    """Add what word boundaries need: one plain space between words, none at the ends."""
    return NormalizerSequence([normalizer, Replace(Regex(r"\s+"), " "), Strip()])


def subword_splitter() -> PreTokenizer:
    """Return the pre-tokenizer that splits a text into words, marks and emoji; WORD_START replaces white space."""
    words = Split(Regex(f"{WORD_START}?(?:{WORD_PATTERN})"), behavior="removed", invert=True)
    return PreTokenizerSequence([Metaspace(WORD_START, prepend_scheme="always"), words])


def bpe_model(
    tokenizer: Tokenizer, texts: Iterable[str], *, alphabet: list[str], size: int, min_frequency: int
) -> Model:
    """Fit BPE merges to the texts, split as the tokenizer does; characters outside the alphabet are unknown."""
    trainer = BpeTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        special_tokens=[PADDING, UNKNOWN],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    bpe = Tokenizer(BPE(unk_token=UNKNOWN))
    bpe.normalizer, bpe.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    bpe.train_from_iterator(texts, trainer)
    model: Model = bpe.model
    return model


def unigram_model(words: Mapping[str, int], *, alphabet: list[str], size: int) -> Model:
    """Fit unigram pieces to word counts; characters outside the alphabet are unknown."""
    frequent = dict(sorted(words.items(), key=lambda item: (-item[1], item[0]))[:TRAINING_WORDS])
    pieces = size - 2
    # Ordered by their value as substrings, which also decides between pieces that no training word needs.
    scores = _seed_scores(frequent, alphabet, pieces * SEED_FACTOR)
    while True:
        for _ in range(PASSES_PER_ROUND):
            counts = _count_pieces(frequent, scores)
            scores = _scores({piece: counts[piece] for piece in scores})
        if len(scores) <= pieces:
            return _unigram(scores)
        scores = _prune(scores, counts, max(pieces, int(len(scores) * SHRINKING_FACTOR)))


def frequent_characters(words: Mapping[str, int], size: int) -> list[str]:
    """Return the most frequent characters, which get their own entries; at most half of all entries."""
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    ordered = sorted(characters, key=lambda character: (-characters[character], character))
    return ordered[: max(1, (size - 2) // 2)]


def _seed_scores(words: Mapping[str, int], alphabet: list[str], size: int) -> Scores:
    """Return the initial pieces: the substrings with the highest count times length, which save the most tokens."""
    characters, substrings = set(alphabet), Counter[str]()
    for word, count in words.items():
        for start in range(len(word)):
            for end in range(start + 2, min(start + MAX_PIECE_CHARACTERS, len(word)) + 1):
                substrings[word[start:end]] += count
    usable = (piece for piece, count in substrings.items() if count > 1 and characters.issuperset(piece))
    ordered = sorted(usable, key=lambda piece: (-substrings[piece] * len(piece), piece))
    return _scores({**dict.fromkeys(alphabet, 1), **{piece: substrings[piece] for piece in ordered[:size]}})


def _scores(counts: Mapping[str, int]) -> Scores:
    # Six decimals survive a round trip through JSON exactly. More do not, and ties would then be resolved differently
    # after loading.
    total = math.log(sum(counts.values()) + len(counts))
    return {piece: round(math.log(max(count, 0.5)) - total, 6) for piece, count in counts.items()}


def _unigram(scores: Scores) -> Unigram:
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return Unigram([(PADDING, 0.0), (UNKNOWN, 0.0), *ordered], unk_id=1, byte_fallback=False)


def _count_pieces(words: Mapping[str, int], scores: Scores) -> Counter[str]:
    """Segment each word in its most likely way and count the pieces."""
    segmenter = Tokenizer(_unigram(scores))
    encodings = segmenter.encode_batch_fast(list(words), add_special_tokens=False)
    counts = np.zeros(segmenter.get_vocab_size(), dtype=np.int64)
    for encoding, count in zip(encodings, words.values(), strict=True):
        for piece_id in encoding.ids:
            counts[piece_id] += count
    return Counter({piece: int(counts[piece_id]) for piece, piece_id in segmenter.get_vocab().items()})


def _prune(scores: Scores, counts: Mapping[str, int], size: int) -> Scores:
    """Keep single characters and the pieces whose removal would cost the most likelihood."""
    loss = {p: counts[p] * (scores[p] - _score_without(p, scores)) for p in scores if len(p) > 1}
    remaining = set(sorted(loss, key=lambda piece: -loss[piece])[: size - (len(scores) - len(loss))])
    return {piece: score for piece, score in scores.items() if len(piece) == 1 or piece in remaining}


def _score_without(piece: str, scores: Scores) -> float:
    """Return the score of a piece's best segmentation into other pieces."""
    best = [0.0] + [-math.inf] * len(piece)
    for end in range(1, len(piece) + 1):
        for start in range(end):
            if end - start < len(piece):
                best[end] = max(best[end], best[start] + scores.get(piece[start:end], -math.inf))
    return best[-1]
