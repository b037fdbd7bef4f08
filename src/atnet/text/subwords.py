"""Vocabularies of word pieces: byte-pair merges and unigram pieces, the same bytes for the same texts.

The unigram trainer of `tokenizers` walks its words in an order that changes with every process, and its sums and
pieces change with it. Here the pieces are fitted by hard expectation-maximisation (after Kudo 2018, with the best
segmentation in place of all of them): the library's own model cuts the words, whole numbers are counted, and ties go
to the lower piece.
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
LONGEST_PIECE = 12
TRAINING_WORDS = 200_000
"""Words, the most frequent first, from which unigram pieces are learned."""
SEED_FACTOR = 4
"""Pieces to start from, per piece to end with."""
KEPT_PER_ROUND = 0.75
PASSES_PER_ROUND = 2

Scores = dict[str, float]


def subword_normalizer(normalizer: Normalizer) -> Normalizer:
    """Add what word starts need: one plain space between words, none at the ends."""
    return NormalizerSequence([normalizer, Replace(Regex(r"\s+"), " "), Strip()])


def subword_splitter() -> PreTokenizer:
    """Part a text into words, marks and emoji; those after white space begin with a low block."""
    words = Split(Regex(f"{WORD_START}?(?:{WORD_PATTERN})"), behavior="removed", invert=True)
    return PreTokenizerSequence([Metaspace(WORD_START, prepend_scheme="always"), words])


def bpe_model(tokenizer: Tokenizer, texts: Iterable[str], *, alphabet: list[str], size: int, minimum: int) -> Model:
    """Fit byte-pair merges to the texts as the tokenizer parts them; other characters are unknown."""
    trainer = BpeTrainer(
        vocab_size=size,
        min_frequency=minimum,
        special_tokens=[PADDING, UNKNOWN],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    learner = Tokenizer(BPE(unk_token=UNKNOWN))
    learner.normalizer, learner.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    learner.train_from_iterator(texts, trainer)
    model: Model = learner.model
    return model


def unigram_model(words: Mapping[str, int], *, alphabet: list[str], size: int) -> Model:
    """Fit unigram pieces to counted words; other characters are unknown."""
    frequent = dict(sorted(words.items(), key=lambda item: (-item[1], item[0]))[:TRAINING_WORDS])
    wanted = size - 2
    # In the order of their promise as substrings, which also decides among pieces that no word of train needs.
    scores = _seed_scores(frequent, alphabet, wanted * SEED_FACTOR)
    while True:
        for _ in range(PASSES_PER_ROUND):
            counts = _count_pieces(frequent, scores)
            scores = _scores({piece: counts[piece] for piece in scores})
        if len(scores) <= wanted:
            return _unigram(scores)
        scores = _prune(scores, counts, max(wanted, int(len(scores) * KEPT_PER_ROUND)))


def alphabet_of(words: Mapping[str, int], size: int) -> list[str]:
    """List the characters that get an entry of their own: the most frequent, for at most half of all entries."""
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    ordered = sorted(characters, key=lambda character: (-characters[character], character))
    return ordered[: max(1, (size - 2) // 2)]


def _seed_scores(words: Mapping[str, int], alphabet: list[str], size: int) -> Scores:
    """Start from the frequent substrings: count times length, as those save the most."""
    known, substrings = set(alphabet), Counter[str]()
    for word, count in words.items():
        for start in range(len(word)):
            for end in range(start + 2, min(start + LONGEST_PIECE, len(word)) + 1):
                substrings[word[start:end]] += count
    usable = (piece for piece, count in substrings.items() if count > 1 and known.issuperset(piece))
    ordered = sorted(usable, key=lambda piece: (-substrings[piece] * len(piece), piece))
    return _scores({**dict.fromkeys(alphabet, 1), **{piece: substrings[piece] for piece in ordered[:size]}})


def _scores(counts: Mapping[str, int]) -> Scores:
    # Six decimals come back from JSON to the last bit. More do not, and then a tie is cut otherwise after loading.
    total = math.log(sum(counts.values()) + len(counts))
    return {piece: round(math.log(max(count, 0.5)) - total, 6) for piece, count in counts.items()}


def _unigram(scores: Scores) -> Unigram:
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return Unigram([(PADDING, 0.0), (UNKNOWN, 0.0), *ordered], unk_id=1, byte_fallback=False)


def _count_pieces(words: Mapping[str, int], scores: Scores) -> Counter[str]:
    """Cut each word in its most likely way and count the pieces."""
    cutter = Tokenizer(_unigram(scores))
    encodings = cutter.encode_batch_fast(list(words), add_special_tokens=False)
    counts = np.zeros(cutter.get_vocab_size(), dtype=np.int64)
    for encoding, count in zip(encodings, words.values(), strict=True):
        for piece in encoding.ids:
            counts[piece] += count
    return Counter({piece: int(counts[number]) for piece, number in cutter.get_vocab().items()})


def _prune(scores: Scores, counts: Mapping[str, int], size: int) -> Scores:
    """Keep single characters and the pieces whose loss would cost the most likelihood."""
    cost = {p: counts[p] * (scores[p] - _without(p, scores)) for p in scores if len(p) > 1}
    costliest = sorted(cost, key=lambda piece: -cost[piece])[: size - (len(scores) - len(cost))]
    kept = set(costliest)
    return {piece: score for piece, score in scores.items() if len(piece) == 1 or piece in kept}


def _without(piece: str, scores: Scores) -> float:
    """Give the score of the best way to write a piece with other pieces."""
    best = [0.0] + [-math.inf] * len(piece)
    for end in range(1, len(piece) + 1):
        for start in range(end):
            if end - start < len(piece):
                best[end] = max(best[end], best[start] + scores.get(piece[start:end], -math.inf))
    return best[-1]
