"""Compare how faithful explanation methods are to the model: `python -m benchmarks.explanations`.

Each method gives every word of a text a score. The methods are compared by what the model predicts when the words with
the highest scores are deleted or inserted first. Prints the tables of docs/benchmarks.md.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from atnet.inference import Predictor, lead_weights
from benchmarks.faithfulness import Faithfulness, Ids, Removal, faithfulness, interval, removed, replaced
from benchmarks.measure import machine, markdown_table, system_load, versions

SHOWN = "contributions (as shown)"
RANDOM = "random order"
RANDOM_ORDERS = 5
SHAPLEY_ORDERS = 8
Scores = list[np.ndarray]


class Methods:
    """The methods to compare: each returns a score for every token of every text."""

    def __init__(self, predictor: Predictor, folder: Path, texts: Sequence[str], seed: int) -> None:
        self.predictor, self.folder, self.seed = predictor, folder, seed
        self.ids: Ids = predictor.encode(texts)
        self.texts = texts
        logits = predictor.logits(self.ids)
        # Per text, the weights (C,) whose product with the logits is the margin of the predicted label.
        self.directions = [lead_weights(row, int(row.argmax())) for row in logits]

    def all(self) -> Mapping[str, tuple[str, Callable[[], Scores]]]:
        """Return the methods by name, each with the predictions it needs for a text of T tokens."""
        methods: dict[str, tuple[str, Callable[[], Scores]]] = {
            SHOWN: ("2T + 3", self.contributions),
            f"Shapley value, {SHAPLEY_ORDERS} sampled orders": (f"{SHAPLEY_ORDERS}T", self.shapley),
            "leave one out": ("T + 1", self.leave_one_out),
            "gradient x input": ("1, and back", self.gradients),
            "attention": ("1", lambda: self.predictor.attention(self.ids)),
        }
        if self.predictor.has_wide_branch:
            methods["wide branch alone"] = ("1", self.wide)
            methods["wide branch + gradient x input"] = ("1, and back", self.wide_and_gradients)
        return methods

    def contributions(self) -> Scores:
        """Return the contributions that users see."""
        return [np.array(explanation.contributions) for explanation in self.predictor.explain(self.texts)]

    def wide(self) -> Scores:
        """Return the wide branch's contribution of each token."""
        wide = self.predictor.wide(self.ids)
        return [values @ direction for values, direction in zip(wide, self.directions, strict=True)]

    def wide_and_gradients(self) -> Scores:
        """Return the wide branch's contributions plus gradient times input of the network."""
        return [wide + network for wide, network in zip(self.wide(), self.gradients(), strict=True)]

    def leave_one_out(self) -> Scores:
        """Return what the margin loses without each token."""
        scores = []
        for ids, direction in zip(self.ids, self.directions, strict=True):
            masks = ~np.eye(len(ids), dtype=bool)
            margins = self.predictor.logits([ids, *(removed(ids, mask) for mask in masks)]) @ direction
            scores.append(margins[0] - margins[1:])
        return scores

    def shapley(self) -> Scores:
        """Return the mean of what each token adds in sampled orders and their reverses (Castro et al. 2009)."""
        rng, scores = np.random.default_rng(self.seed), []
        for ids, direction in zip(self.ids, self.directions, strict=True):
            score = np.zeros(len(ids))
            for _ in range(SHAPLEY_ORDERS // 2):
                sampled = rng.permutation(len(ids))
                for order in (sampled, sampled[::-1]):
                    rank = np.argsort(order)
                    prefixes = [removed(ids, rank < count) for count in range(len(ids) + 1)]
                    score[order] += np.diff(self.predictor.logits(prefixes) @ direction)
            scores.append(score / SHAPLEY_ORDERS)
        return scores

    def gradients(self) -> Scores:
        """Return the margin's gradient at each token's vector times the vector; the wide branch has no vectors."""
        import tensorflow as tf
        from keras import Model

        from atnet.network.model import rebuild

        network = rebuild((self.folder / "architecture.json").read_text(encoding="utf-8"))
        network.load_weights(self.folder / "model.weights.h5")
        with_embedding = Model(network.inputs, [network.get_layer("embedding").output, network.output["logits"]])
        scores = []
        for ids, direction in zip(self.ids, self.directions, strict=True):
            with tf.GradientTape() as tape:
                embedded, logits = with_embedding(tf.constant([ids], tf.int32), training=False)
                margin = tf.reduce_sum(logits * direction.astype(np.float32))
            scores.append(tf.reduce_sum(tape.gradient(margin, embedded) * embedded, axis=-1)[0].numpy())
        return scores


def main(argv: Sequence[str] | None = None) -> int:
    """Score every method and print a table for each kind of deletion."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("data/07_model"))
    parser.add_argument("--test", type=Path, default=Path("data/03_splits/test.parquet"))
    parser.add_argument("--texts", type=int, default=500, help="drawn from the test split")
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args(argv)
    print(f"{machine()}; {system_load()}; {versions('onnxruntime', 'tensorflow-cpu', 'keras', 'numpy')}\n")
    predictor = Predictor.load(arguments.model)
    methods = Methods(predictor, arguments.model, _texts(predictor, arguments), arguments.seed)
    tokens = np.array([len(ids) for ids in methods.ids])
    print(f"{len(tokens)} texts of {tokens.min()} to {tokens.max()} tokens, mean {tokens.mean():.1f}.\n")
    scores, costs = _token_scores(methods)
    for title, removal in (("Words deleted", removed), ("Words replaced by the unknown word", replaced)):
        results = {
            name: faithfulness(predictor.logits, predictor.temperature, methods.ids, token_scores, removal)
            for name, token_scores in scores.items()
        }
        results[RANDOM] = _random_order(methods, removal)
        print(f"{title}:\n\n{_table(results, costs, arguments.seed)}\n")
    return 0


def _texts(predictor: Predictor, arguments: argparse.Namespace) -> list[str]:
    """Draw texts of two tokens or more: a single word cannot be ranked."""
    texts = pd.read_parquet(arguments.test)["text"].tolist()
    long_enough = [row for row, ids in enumerate(predictor.encode(texts)) if len(ids) > 1]
    rng = np.random.default_rng(arguments.seed)
    rows = rng.choice(long_enough, size=min(arguments.texts, len(long_enough)), replace=False)
    return [texts[row] for row in sorted(rows)]


def _token_scores(methods: Methods) -> tuple[dict[str, Scores], dict[str, tuple[str, float]]]:
    scores, costs = {}, {RANDOM: ("0", 0.0)}
    for name, (predictions, method) in methods.all().items():
        started = time.perf_counter()
        scores[name] = method()
        costs[name] = (predictions, 1000 * (time.perf_counter() - started) / len(methods.ids))
    return scores, costs


def _random_order(methods: Methods, removal: Removal) -> Faithfulness:
    rng = np.random.default_rng(methods.seed)
    results = [
        faithfulness(
            methods.predictor.logits,
            methods.predictor.temperature,
            methods.ids,
            [rng.random(len(ids)) for ids in methods.ids],
            removal,
        )
        for _ in range(RANDOM_ORDERS)
    ]
    names = ("deletion", "insertion", "comprehensiveness", "sufficiency")
    return Faithfulness(*(np.mean([getattr(result, name) for result in results], axis=0) for name in names))


def _table(results: Mapping[str, Faithfulness], costs: Mapping[str, tuple[str, float]], seed: int) -> str:
    header = [
        "words ranked by",
        "deletion, low is good",
        "insertion, high",
        "area between, high",
        "… minus contributions",
        "comprehensiveness, high",
        "sufficiency, low",
        "predictions per text",
        "ms per text",
    ]
    rows = []
    for name, result in sorted(results.items(), key=lambda item: -float(item[1].area_between.mean())):
        difference = result.area_between - results[SHOWN].area_between
        curves = (result.deletion, result.insertion, result.area_between, difference)
        cells = [_cell(values, seed) for values in (*curves, result.comprehensiveness, result.sufficiency)]
        if name == SHOWN:
            cells[3] = ""
        predictions, milliseconds = costs[name]
        rows.append([name, *cells, predictions, f"{milliseconds:.1f}" if milliseconds else ""])
    return markdown_table(header, rows)


def _cell(values: np.ndarray, seed: int) -> str:
    mean, low, high = interval(values, np.random.default_rng(seed))
    return f"{mean:z.3f} ({low:z.3f} to {high:z.3f})"


if __name__ == "__main__":
    sys.exit(main())
