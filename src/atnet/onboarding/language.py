"""Guess the language of texts from their most frequent words; a hint for the reader, not a decision."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice

SAMPLED_TEXTS = 2_000
MIN_SHARE = 0.08
"""Share of the words that must be function words of the language."""
MIN_LEAD = 1.3
"""How much more frequent they must be than those of the next language."""
FUNCTION_WORDS = {
    "English": "the and is of to in it that was for with this but you are not have my be on as so they what how",
    "Portuguese": "o a os as que de do da e é não em um uma para com por mais na no se muito meu minha foi eu você",
    "Spanish": "el la los las que de y es no en un una para con por más se muy mi lo su fue yo pero como está",
    "French": "le la les des et est ne pas que de un une dans pour avec ce qui je il elle nous vous sur au mais très",
    "German": "der die das und ist nicht ein eine ich zu mit es auf für den von im war sehr auch sie wir aber dem",
    "Italian": "il la gli che di e è non un una per con del della sono mi si più ma come questo molto ho nel anche",
}


def guess_language(texts: Iterable[str]) -> str | None:
    """Return the English name of the language, or None if it is not one of the known ones or not clear."""
    words = Counter(word for text in islice(texts, SAMPLED_TEXTS) for word in text.lower().split())
    total = max(words.total(), 1)
    shares = {
        language: sum(words[word] for word in set(listed.split())) / total
        for language, listed in FUNCTION_WORDS.items()
    }
    (best, share), (_, second) = sorted(shares.items(), key=lambda item: -item[1])[:2]
    return best if share >= MIN_SHARE and share >= MIN_LEAD * second else None
