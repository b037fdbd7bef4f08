"""The same task in one plain Keras script, for comparison: `python -m benchmarks.plain_script <csv>`.

Reads rated texts, trains and evaluates AtNet as published: no checks, no duplicate handling, no report, no files.
"""

import argparse
import csv
import os
import random
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

NEUTRAL_BAND = 0.5
WORDS = 30_000
LENGTH_QUANTILE = 0.99
Rows = Sequence[tuple[str, int]]


def main() -> None:
    """Train, evaluate and print the test accuracy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", help="columns rating and text")
    parser.add_argument("--length", type=int, help="tokens each text is padded to; default: the 0.99 quantile")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(13)
    train, validation, test = random_split(read_rows(arguments.csv))
    words = [len(text.split()) for text, _ in train]
    length = arguments.length or int(np.quantile(words, LENGTH_QUANTILE))
    vectorize = layers.TextVectorization(max_tokens=WORDS, output_sequence_length=length)
    vectorize.adapt([text for text, _ in train])
    model = atnet(length)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    model.fit(
        *arrays(vectorize, train), validation_data=arrays(vectorize, validation), batch_size=32, epochs=10, verbose=0
    )
    loss, accuracy = model.evaluate(*arrays(vectorize, test), verbose=0)
    print(f"{len(train):,} training texts padded to {length}; test accuracy {accuracy:.3f}, loss {loss:.3f}")


def read_rows(path: str) -> Rows:
    """Read texts and the sign of their rating, without those close to zero."""
    with open(path, encoding="utf-8", newline="") as file:
        rated = [(row["text"], float(row["rating"])) for row in csv.DictReader(file)]
    return [(text, int(rating > 0)) for text, rating in rated if abs(rating) > NEUTRAL_BAND]


def random_split(rows: Rows) -> tuple[Rows, Rows, Rows]:
    """Shuffle and split into 80, 10 and 10 percent."""
    shuffled = random.Random(13).sample(rows, len(rows))
    tenth = len(rows) // 10
    return shuffled[2 * tenth :], shuffled[:tenth], shuffled[tenth : 2 * tenth]


def arrays(vectorize: layers.TextVectorization, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Convert texts to padded ids (rows, length) and labels (rows,)."""
    return np.asarray(vectorize([text for text, _ in rows])), np.array([label for _, label in rows])


def atnet(length: int) -> keras.Model:
    """Build AtNet as published, after an embedding layer."""
    tokens = keras.Input((length,), dtype="int64")
    embedded = layers.Embedding(WORDS, 128)(tokens)
    features = layers.Conv1D(64, 5, padding="same", activation="relu")(embedded)
    attention = layers.Softmax(axis=1)(layers.Dense(1, activation="tanh")(features))
    pooled = layers.GlobalMaxPooling1D()(layers.Multiply()([features, attention]))
    hidden = layers.Dense(10, activation="relu")(pooled)
    return keras.Model(tokens, layers.Dense(1, activation="sigmoid")(hidden))


if __name__ == "__main__":
    main()
