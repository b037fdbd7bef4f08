"""Measure what it costs to fit the linear baselines on a sample of the training texts: validation accuracy by sample.

    python -m benchmarks.baseline_sample DATA.csv.gz --fractions 0.125 0.25 0.5 1

DATA has columns text, label and split (train, test); the test rows are not read. Four fifths of the training rows are
fitted on, the others are the validation rows. Prints a Markdown table.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from atnet.baselines.baselines import LINEAR, fit_baselines
from atnet.baselines.features import tokenize_words
from atnet.baselines.sampling import sampled_rows
from atnet.schema import LABEL, SPLIT, TEXT
from atnet.storage import load_params
from benchmarks.measure import machine, markdown_table, system_load
from benchmarks.project_copy import ROOT

SEED = 13
VALIDATION_FRACTION = 0.2


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--fractions", type=float, nargs="+", default=[0.125, 0.25, 0.5, 1.0])
    parser.add_argument("--regularization", type=float, nargs="+", default=[0.3, 3.0])
    parser.add_argument("--models", nargs="+", default=list(LINEAR))
    arguments = parser.parse_args()
    print(machine(), system_load(), sep="; ", end="\n\n", flush=True)
    table = pd.read_csv(arguments.data, dtype="str")
    table = table[table[SPLIT] == "train"].sample(frac=1, random_state=SEED)
    held_out = int(len(table) * VALIDATION_FRACTION)
    validation, train = table[:held_out], table[held_out:]
    tokens_N = np.array([len(words) for words in tokenize_words(train[TEXT].tolist())])
    config = load_params(ROOT / "params.yaml").baseline.model_copy(
        update={"regularization": arguments.regularization, "linear_max_tokens": None, "svm_max_tokens": None}
    )
    lines = []
    for fraction in arguments.fractions:
        tokens = int(tokens_N.sum() * fraction)
        rows = sampled_rows(tokens_N, tokens, SEED)
        started = time.process_time()
        fitted = fit_baselines(train.iloc[rows], validation, config, models=arguments.models)
        predicted = fitted.predict(validation[TEXT].tolist())
        accuracies = [(predicted[name] == validation[LABEL].to_numpy()).mean() for name in arguments.models]
        seconds = time.process_time() - started
        lines.append([f"{tokens:,}", f"{len(rows):,}", *(f"{value:.1%}" for value in accuracies), f"{seconds:.0f}"])
        print(markdown_table(["tokens", "texts", *arguments.models, "CPU s"], lines, left=0), flush=True)


if __name__ == "__main__":
    main()
