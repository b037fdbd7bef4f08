"""Measure what the linear models cost by number of classes: `python -m benchmarks.many_classes FILE`.

FILE is a CSV file with the columns text, label and split, such as banking77. Fewer classes are made by merging labels,
more by a copy of the texts whose words are written backwards, so that the texts stay alike. The test split is not read.

The wide branch alone, on all of imdb50k: `python -m benchmarks.many_classes FILE --classes 2 --rows 22500 --wide-only`.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pandas as pd

from atnet.baselines.baselines import fit_baselines
from atnet.config import Params
from atnet.files import encoded_split
from atnet.formatting import markdown_table
from atnet.network.training_inputs import vocabulary
from atnet.schema import ID, LABEL, SPLIT, TEXT, TEXT_HASH, text_hash
from atnet.storage import load_params, write_arrow
from atnet.text.encoded_split import EncodedSplit
from atnet.text.tokenization import tokenize_splits
from atnet.wide.blending import calibrated_loss
from atnet.wide.branch import WideBranch, fit_wide_branch

VALIDATION_FRACTION = 0.1
MAX_TRAINING_ROWS = 15_100
SEED = 13
Result = TypeVar("Result")


def main() -> None:
    """Fit everything for each number of classes and print a Markdown table; times are CPU seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 20, 77, 151])
    parser.add_argument("--rows", type=int, default=MAX_TRAINING_ROWS, help="training rows at most")
    parser.add_argument("--wide-only", action="store_true", help="leave the baselines out")
    arguments = parser.parse_args()
    source, params = pd.read_csv(arguments.file), load_params()
    rows = []
    for classes in arguments.classes:
        train, validation = make_splits(source, classes, arguments.rows)
        rows.append([str(classes), f"{len(train):,}"])
        rows[-1] += [] if arguments.wide_only else _baselines(train, validation, params)
        rows[-1] += _wide_branch(train, validation, params)
        print(" | ".join(rows[-1]), flush=True)
    baselines = () if arguments.wide_only else ("baselines, s", "validation accuracy")
    wide_branch = ("wide branch, s", "validation log-loss", "validation accuracy")
    print(markdown_table(("classes", "training rows", *baselines, *wide_branch), rows))


def make_splits(source: pd.DataFrame, classes: int, rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the training and the validation rows of a data set with this many classes, from the training split."""
    table = source[source[SPLIT] == "train"]
    labels = sorted(table[LABEL].unique())
    if classes <= len(labels):
        number = {label: index % classes for index, label in enumerate(labels)}
        table = table.assign(label=[f"{number[label]:03d}" for label in table[LABEL]])
    else:
        backwards = [" ".join(word[::-1] for word in text.split()) for text in table[TEXT]]
        table = pd.concat([table, table.assign(text=backwards, label="backwards " + table[LABEL])])
        table = table[table[LABEL].isin(sorted(table[LABEL].unique())[:classes])]
    table = table.sample(frac=1, random_state=SEED).head(int(rows / (1 - VALIDATION_FRACTION)))
    table = table.assign(**{ID: [f"row-{row}" for row in range(len(table))], TEXT_HASH: table[TEXT].map(text_hash)})
    size = int(len(table) * VALIDATION_FRACTION)
    return table[size:].reset_index(drop=True), table[:size].reset_index(drop=True)


def _baselines(train: pd.DataFrame, validation: pd.DataFrame, params: Params) -> list[str]:
    baselines, seconds = _timed(lambda: fit_baselines(train, validation, params.baseline))
    predicted = baselines.predict(validation[TEXT].tolist())
    accuracies = {name: (labels == validation[LABEL].to_numpy()).mean() for name, labels in predicted.items()}
    return [f"{seconds:.1f}", ", ".join(f"{name} {accuracies[name]:.1%}" for name in baselines.models)]


def _wide_branch(train: pd.DataFrame, validation: pd.DataFrame, params: Params) -> list[str]:
    splits = {"train": train, "validation": validation, "test": validation}
    tokenized = tokenize_splits(splits, params.tokenize)
    with TemporaryDirectory(prefix="atnet-benchmark-") as folder:
        for name, table in tokenized.tables.items():
            write_arrow(Path(folder) / encoded_split(name), table)
        encoded = {name: EncodedSplit.load(Path(folder) / encoded_split(name)) for name in ("train", "validation")}
        words, classes = vocabulary(tokenized.tokenizer), len(tokenized.labels)

        def fit() -> WideBranch | None:
            return fit_wide_branch(params.train, **encoded, words=words, classes=classes)

        branch, seconds = _timed(fit)
        assert branch is not None  # the default parameters have one
        logits = branch.logits(encoded["validation"])
        labels = encoded["validation"].labels
        accuracy = (logits.argmax(axis=1) == labels).mean()
        return [f"{seconds:.1f}", f"{calibrated_loss(logits, labels):.4f}", f"{accuracy:.1%}"]


def _timed(compute: Callable[[], Result]) -> tuple[Result, float]:
    started = time.process_time()
    return compute(), time.process_time() - started


if __name__ == "__main__":
    main()
