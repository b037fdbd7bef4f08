"""AtNet: embedding, convolution, token attention, pooling, dense, output."""

import json

import keras

from atnet.config import TrainConfig
from atnet.network.layers import (
    AttentionPooling,
    FrequentTokens,
    MaskedDropout,
    PaddingMask,
    TwoClassLogits,
    WordEmbedding,
)
from atnet.wide.branch import WideBranch, binary_to_two_logits
from atnet.wide.ngram_layers import BlendLogits, WideNgrams


def build_model(
    config: TrainConfig,
    *,
    vocabulary_size: int,
    classes: int,
    precision: str = "float32",
) -> keras.Model:
    """Build AtNet: tokens (B, T) int32 -> {"logits": (B, C), "attention": (B, T)}, both float32.

    Id 0 is padding. In mode `seed` it is a token like any other, as published, and two classes share one sigmoid
    unit; the other modes mask it everywhere and end in one unit per class.

    Args:
        vocabulary_size: rows of the embedding; every token beyond them is taken for the unknown word.
        precision: a Keras dtype policy; weights are float32 under each of them.
    """
    seed_mode = config.attention == "published"
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    mask = None if seed_mode else PaddingMask(name="mask")(tokens)
    # The embedding stays float32: cast to bfloat16 as a whole, its gradient would no longer be sparse.
    embedding = WordEmbedding(vocabulary_size, config.embedding_dimensions, dtype="float32", name="embedding")
    embedded = embedding(FrequentTokens(vocabulary_size, name="frequent")(tokens))
    cleared = MaskedDropout(config.embedding_dropout, dtype=precision, name="embedding_dropout")(embedded, mask=mask)
    features = keras.layers.Conv1D(
        config.filters, config.kernel_size, padding="same", activation="relu", dtype=precision, name="convolution"
    )(cleared)
    pooled, attention = AttentionPooling(config.attention, dtype=precision, name="attention")(features, mask=mask)
    kept = keras.layers.Dropout(config.dropout, dtype=precision, name="dropout")(pooled)
    hidden = keras.layers.Dense(config.hidden_units, activation="relu", dtype=precision, name="hidden")(kept)
    if seed_mode and classes == 2:
        logits = TwoClassLogits(name="logits")(keras.layers.Dense(1, dtype="float32", name="output")(hidden))
    else:
        logits = keras.layers.Dense(classes, dtype="float32", name="logits")(hidden)
    return keras.Model(tokens, {"logits": logits, "attention": attention}, name="atnet")


def with_wide(network: keras.Model, wide: WideBranch, weights: tuple[float, float]) -> keras.Model:
    """Set the wide branch beside a network: tokens (B, T) -> {"logits", "attention", "wide": (B, T, C)}.

    Args:
        weights: of the network's logits and of the wide branch's.
    """
    classes = network.output["logits"].shape[-1]
    beside = WideNgrams(len(wide.words), len(wide.runs), classes, wide.longest, dtype="float32", name="wide")
    both = BlendLogits(dtype="float32", name="both")
    logits, said = both([network.output["logits"], beside(network.input)])
    for name in ("words", "runs", "numbers", "spelling", "letters"):
        getattr(beside, name).assign(getattr(wide, name))
    both.weight.assign(weights)
    both.intercept.assign(binary_to_two_logits(wide.intercept[None])[0])
    outputs = {"logits": logits, "attention": network.output["attention"], "wide": said}
    return keras.Model(network.input, outputs, name="atnet")


def architecture_json(model: keras.Model) -> str:
    """Describe the network in a canonical form from which `rebuild` makes it again, without its weights."""
    return json.dumps(json.loads(model.to_json()), indent=2, sort_keys=True) + "\n"


def rebuild(architecture: str) -> keras.Model:
    """Build a network from its `architecture_json`; load its weights afterwards."""
    return keras.models.model_from_json(architecture)
