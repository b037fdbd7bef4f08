"""AtNet: embedding, convolution, token attention, pooling, dense, output."""

import json

import keras

from atnet.config import TrainConfig
from atnet.layers import AttentionPooling, MaskedConv1D, PaddingMask, TwoClassLogits, WideNgrams


def build_model(
    config: TrainConfig,
    *,
    vocabulary_size: int,
    classes: int,
    wide_buckets: int | None = None,
    precision: str = "float32",
) -> keras.Model:
    """Build AtNet: tokens (B, T) int32 -> {"logits": (B, C), "attention": (B, T)}, both float32.

    Id 0 is padding. In mode `seed` it is a token like any other, as published, and two classes share one sigmoid
    unit; the other modes mask it everywhere and end in one unit per class.

    Args:
        wide_buckets: buckets of the wide branch's word pairs; None for no wide branch, as in mode `seed`.
        precision: a Keras dtype policy; weights are float32 under each of them.
    """
    seed_mode = config.attention == "seed"
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    embedded = keras.layers.Embedding(
        # The embedding stays float32: cast to bfloat16 as a whole, its gradient would no longer be sparse.
        vocabulary_size,
        config.embedding_dimensions,
        dtype="float32",
        name="embedding",
    )(tokens)
    mask = None if seed_mode else PaddingMask(name="mask")(tokens)
    dropped = keras.layers.Dropout(config.embedding_dropout, name="embedding_dropout", dtype="float32")(embedded)
    features = MaskedConv1D(config.filters, config.kernel_size, dtype=precision, name="convolution")(dropped, mask=mask)
    pooled, attention = AttentionPooling(config.attention, dtype=precision, name="attention")(features, mask=mask)
    kept = keras.layers.Dropout(config.dropout, dtype=precision, name="dropout")(pooled)
    hidden = keras.layers.Dense(config.hidden_units, activation="relu", dtype=precision, name="hidden")(kept)
    if seed_mode and classes == 2:
        logits = TwoClassLogits(name="logits")(keras.layers.Dense(1, dtype="float32", name="output")(hidden))
    else:
        logits = keras.layers.Dense(classes, dtype="float32", name="logits")(hidden)
    if wide_buckets is not None and not seed_mode:
        wide = WideNgrams(vocabulary_size, wide_buckets, classes, dtype="float32", name="wide")(tokens)
        logits = keras.layers.Add(name="both")([logits, wide])
    return keras.Model(tokens, {"logits": logits, "attention": attention}, name="atnet")


def architecture_json(model: keras.Model) -> str:
    """Describe the network in a canonical form from which `rebuild` makes it again, without its weights."""
    return json.dumps(json.loads(model.to_json()), indent=2, sort_keys=True) + "\n"


def rebuild(architecture: str) -> keras.Model:
    """Build a network from its `architecture_json`; load its weights afterwards."""
    return keras.models.model_from_json(architecture)
