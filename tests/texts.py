"""Generated small tables of labeled texts that a model can learn, in English and Portuguese."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

Language = Literal["en", "pt"]

SENTIMENT: dict[Language, dict[str, str]] = {
    "en": {
        "negative": "awful boring broken clumsy dreadful dull horrible poor sad terrible useless weak worst hated",
        "positive": "amazing bright charming clever delightful excellent fine great lovely perfect warm best loved",
    },
    "pt": {
        "negative": "péssimo chato quebrado horrível ruim triste inútil fraco pior odiei decepção lamentável sem-graça",
        "positive": "ótimo alegre encantador excelente maravilhoso perfeito incrível melhor amei emoção agradável",
    },
}
TOPICS: dict[Language, dict[str, str]] = {
    "en": {
        "abbreviation": "stand acronym initials abbreviated letters short-for expanded acronyms",
        "description": "why explain reason meaning definition describe origin cause",
        "entity": "animal instrument sport color disease language currency plant",
        "human": "who president author invented actor founder queen scientist",
        "location": "where city country river mountain capital continent island",
        "number": "many much percent year distance population temperature old",
    },
    "pt": {
        "abreviação": "sigla abreviatura iniciais letras significa acrônimo abreviado abreviações",
        "descrição": "porquê explique razão definição descreva origem causa explicação",
        "entidade": "animal instrumento esporte cor doença língua moeda planta",
        "localização": "onde cidade país rio montanha capital continente ilha",
        "número": "quantos quanto porcentagem ano distância população temperatura idade",
        "pessoa": "quem presidente autor inventou atriz fundador rainha cientista",
    },
}
FILLERS: dict[Language, str] = {
    "en": "the a this that film book phone song story game meal trip hotel plot screen battery ending cast sound "
    "picture price service people friend evening morning weekend again still almost really quite rather perhaps "
    "because although while after before during with without about for from into over under between found watched "
    "bought tried used read heard saw think believe remember expected turned looked seemed felt kept",
    "pt": "o a este aquela filme livro telefone canção história jogo refeição viagem hotel enredo tela bateria final "
    "elenco som imagem preço serviço pessoas amigo noite manhã semana ainda quase realmente bastante talvez também "
    "porque embora enquanto depois antes durante com sem sobre para desde entre então não já até comprei tentei usei "
    "li ouvi vi acho acredito lembro esperava virou parecia senti ficou está é são",
}
NOISE = 0.06
"""Share of texts whose indicative words belong to another label, so that no model is perfect."""


def labeled_texts(rows: int, language: Language = "en", labels: Literal[2, 6] = 2, seed: int = 0) -> pd.DataFrame:
    """Generate a canonical table (id, text, label) of distinct texts with equally frequent labels, in random order.

    Two labels are sentiments, six are types of questions. The same arguments give the same table.
    """
    rng = np.random.default_rng([seed, labels, language == "pt"])
    indicative = {label: words.split() for label, words in (SENTIMENT if labels == 2 else TOPICS)[language].items()}
    fillers = FILLERS[language].split()
    names = sorted(indicative)
    row_labels = [names[row % labels] for row in range(rows)]
    texts = [_text(rng, indicative[_noisy_label(rng, names, label)], fillers) for label in row_labels]
    table = pd.DataFrame({"id": [f"row-{row:05d}" for row in range(rows)], "text": texts, "label": row_labels})
    return table.iloc[rng.permutation(rows)].reset_index(drop=True)


def _noisy_label(rng: np.random.Generator, names: Sequence[str], label: str) -> str:
    return str(rng.choice(names)) if rng.random() < NOISE else label


def _text(rng: np.random.Generator, indicative: Sequence[str], fillers: Sequence[str]) -> str:
    words = [*rng.choice(fillers, size=int(rng.integers(7, 16))), *rng.choice(indicative, size=int(rng.integers(1, 4)))]
    sentence = " ".join(str(word) for word in rng.permutation(words))
    return sentence.capitalize() + str(rng.choice([".", "!", "?", "..."]))
