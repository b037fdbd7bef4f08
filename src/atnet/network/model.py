"""The AtNet model: embedding, convolution, token attention, pooling, dense layer, output."""

import json
from typing import Any

import keras

from atnet.config import TrainConfig
from atnet.network.layers import (
    AttentionPooling,
    FrequentTokens,
    MaskedDropout,
    PaddingMask,
    StaticEmbedding,
    TwoClassLogits,
    WordEmbedding,
)
from atnet.wide.blending import binary_to_two_logits
from atnet.wide.branch import WideBranch
from atnet.wide.ngram_layers import TABLES, BlendLogits, WideNgrams

STATIC = "static_embedding"
"""Name of the layer of the static channel."""
PUBLISHED_UNITS = 10
"""Units of the dense layer in the article."""


def build_model(
    config: TrainConfig,
    *,
    vocabulary_size: int,
    classes: int,
    dimensions: int | None = None,
    precision: str = "float32",
) -> keras.Model:
    """Build AtNet: tokens (B, T) int32 -> {"logits": (B, C), "attention": (B, T)}, both float32.

    Id 0 is padding. Published mode treats it like any other token, as in the article, and two classes share one sigmoid
    unit; the other modes mask padding everywhere and end in one unit per class.

    Args:
        vocabulary_size: rows of the embedding; every token id beyond them is treated as the unknown word.
        dimensions: of the word vectors that the embedding starts from; None: as the configuration says.
        precision: a Keras dtype policy; weights are float32 under each of them.
    """
    published = config.attention == "published"
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    mask = None if published else PaddingMask(name="mask")(tokens)
    frequent = FrequentTokens(vocabulary_size, name="frequent_tokens")(tokens)
    embedded = _embed(frequent, config, vocabulary_size, dimensions or config.embedding_dimensions)
    dropped = MaskedDropout(config.embedding_dropout, dtype=precision, name="embedding_dropout")(embedded, mask=mask)
    features = keras.layers.Conv1D(
        config.filters, config.kernel_size, padding="same", activation="relu", dtype=precision, name="convolution"
    )(dropped)
    pooled, attention = AttentionPooling(config.attention, dtype=precision, name="attention")(features, mask=mask)
    pooled = keras.layers.Dropout(config.dropout, dtype=precision, name="dropout")(pooled)
    units = _hidden_units(config, classes)
    hidden = keras.layers.Dense(units, activation="relu", dtype=precision, name="hidden")(pooled)
    if published and classes == 2:
        logits = TwoClassLogits(name="logits")(keras.layers.Dense(1, dtype="float32", name="output")(hidden))
    else:
        logits = keras.layers.Dense(classes, dtype="float32", name="logits")(hidden)
    return keras.Model(tokens, {"logits": logits, "attention": attention}, name="atnet")


def _embed(tokens: keras.KerasTensor, config: TrainConfig, rows: int, dimensions: int) -> keras.KerasTensor:
    """Look up the vectors: (B, T) -> (B, T, D), or (B, T, 2D) with a fine-tuned and a static channel (Kim 2014).

    Kim's filters are the same for both channels, whose results are added, as if the vectors were; here each channel
    has its own filters.
    """
    # The embedding stays float32: cast to bfloat16 as a whole, its gradient would no longer be sparse.
    embedding = WordEmbedding(rows, dimensions, dtype="float32", name="embedding")
    embedding.trainable = config.embedding != "static"
    embedded = embedding(tokens)
    if config.embedding != "two_channels":
        return embedded
    static = StaticEmbedding(rows, dimensions, dtype="float32", name=STATIC)(tokens)
    return keras.layers.Concatenate(name="channels")([embedded, static])


def _hidden_units(config: TrainConfig, classes: int) -> int:
    """Return the units of the dense layer: by default those of the article, or one per label if there are more."""
    if config.hidden_units != "auto":
        return config.hidden_units
    return PUBLISHED_UNITS if config.attention == "published" else max(PUBLISHED_UNITS, classes)


def add_wide_branch(network: keras.Model, branch: WideBranch, weights: tuple[float, float]) -> keras.Model:
    """Combine a network with the wide branch: tokens (B, T) -> {"logits", "attention", "wide": (B, T, C)}.

    Args:
        weights: weight of the network's logits, weight of the wide branch's logits.
    """
    classes = network.output["logits"].shape[-1]
    wide = WideNgrams(
        len(branch.word_weights), len(branch.ngram_weights), classes, branch.max_n, dtype="float32", name="wide"
    )
    blend = BlendLogits(dtype="float32", name="blend")
    logits, contributions = blend([network.output["logits"], wide(network.input)])
    for name in TABLES:
        getattr(wide, name).assign(getattr(branch, name))
    blend.weight.assign(weights)
    blend.intercept.assign(binary_to_two_logits(branch.intercept[None])[0])
    outputs = {"logits": logits, "attention": network.output["attention"], "wide": contributions}
    return keras.Model(network.input, outputs, name="atnet")


def architecture_json(model: keras.Model) -> str:
    """Serialize the architecture, without weights, in a canonical form that `rebuild` reads."""
    return json.dumps(_without_own_modules(json.loads(model.to_json())), indent=2, sort_keys=True) + "\n"


def rebuild(architecture: str) -> keras.Model:
    """Build a network from its `architecture_json`; load its weights afterwards."""
    return keras.models.model_from_json(architecture)


def _without_own_modules(node: Any) -> Any:
    """Set the module names of registered classes to null.

    Keras looks those classes up by their registered name. With the module in the file, moving a class would change the
    model's hash.
    """
    if isinstance(node, list):
        return [_without_own_modules(item) for item in node]
    if not isinstance(node, dict):
        return node
    registered = ">" in (node.get("registered_name") or "")
    # The key has to stay: without it Keras reads the layer as one of its legacy format.
    return {key: None if registered and key == "module" else _without_own_modules(value) for key, value in node.items()}
