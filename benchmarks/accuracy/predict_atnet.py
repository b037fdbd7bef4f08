"""Predict a split with the trained model, through the same `Predictor` that serves it: `... predict_atnet test`."""

import sys

import pandas as pd

from atnet.files import MODEL
from atnet.inference import Predictor
from benchmarks.accuracy.processes import exit_with_parent
from benchmarks.accuracy.results import predictions_file, read_split, save_predictions


def main(split: str) -> None:
    """Write the probabilities, classes in the order of the sorted labels."""
    exit_with_parent()
    predictor = Predictor.load(MODEL, threads=1)
    texts = read_split(split)
    predicted_NC = predictor.predict(texts.texts).probabilities
    columns = pd.Index(predictor.labels).get_indexer(pd.Index(texts.labels))
    save_predictions(predictions_file("atnet", split), texts.actual_N, {"atnet": predicted_NC[:, columns]})


if __name__ == "__main__":
    main(sys.argv[1])
