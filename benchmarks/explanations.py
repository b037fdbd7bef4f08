"""Which explanation is true to the model: `python -m benchmarks.explanations` on a finished model folder.

Each way of giving the words of a text a weight is judged by what the model answers when the highest-weighted words are
taken out or put in first. Prints the tables that stand in docs/benchmarks.md.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from atnet.inference import Predictor, lead_weights
from benchmarks.faithfulness import Faithfulness, Ids, faithfulness, interval, removed, replaced
from benchmarks.measure import busy, machine, table, versions

OURS = "contributions (as shown)"
RANDOM = "random order"
RANDOM_ORDERS = 5
SHAPLEY_ORDERS = 8
Scores = list[np.ndarray]


class Ways:
    """The ways to be compared: each gives a score for every token of every text."""

    def __init__(self, predictor: Predictor, folder: Path, texts: Sequence[str], seed: int) -> None:
        self.predictor, self.folder, self.seed = predictor, folder, seed
        self.ids: Ids = predictor.encode(texts)
        self.texts = texts
        logits = predictor.logits(self.ids)
        self.sides = [lead_weights(row, int(row.argmax())) for row in logits]

    def all(self) -> Mapping[str, tuple[str, Callable[[], Scores]]]:
        """Name each way, with the answers it needs for a text of T tokens."""
        gradient = self.gradients
        ways = {
            OURS: ("2T + 3", self.contributions),
            f"Shapley value, {SHAPLEY_ORDERS} sampled orders": (f"{SHAPLEY_ORDERS}T", self.shapley),
            "leave one out": ("T + 1", self.left_out),
            "gradient x input": ("1, and back", gradient),
            "attention": ("1", lambda: self.predictor.attention(self.ids)),
        }
        if self.predictor.has_wide_branch:
            ways["wide branch alone"] = ("1", self.wide)
            ways["wide branch + gradient x input"] = (
                "1, and back",
                lambda: [one + other for one, other in zip(self.wide(), gradient(), strict=True)],
            )
        return ways

    def contributions(self) -> Scores:
        """Give what users are shown."""
        return [np.array(one.contributions) for one in self.predictor.explain(self.texts)]

    def wide(self) -> Scores:
        """Give what the wide branch says at each token."""
        return [says @ side for says, side in zip(self.predictor.wide(self.ids), self.sides, strict=True)]

    def left_out(self) -> Scores:
        """Give what the lead loses without each token."""
        scores = []
        for ids, side in zip(self.ids, self.sides, strict=True):
            kept = ~np.eye(len(ids), dtype=bool)
            lead = self.predictor.logits([ids, *(removed(ids, one) for one in kept)]) @ side
            scores.append(lead[0] - lead[1:])
        return scores

    def shapley(self) -> Scores:
        """Give the mean of what each token adds in sampled orders and their reverses (Castro et al. 2009)."""
        rng, scores = np.random.default_rng(self.seed), []
        for ids, side in zip(self.ids, self.sides, strict=True):
            score = np.zeros(len(ids))
            for _ in range(SHAPLEY_ORDERS // 2):
                order = rng.permutation(len(ids))
                for one in (order, order[::-1]):
                    rank = np.argsort(one)
                    lead = self.predictor.logits([removed(ids, rank < count) for count in range(len(ids) + 1)]) @ side
                    score[one] += np.diff(lead)
            scores.append(score / SHAPLEY_ORDERS)
        return scores

    def gradients(self) -> Scores:
        """Give the slope of the lead along each token's vector times the vector; the wide branch has no vectors."""
        import tensorflow as tf
        from keras import Model

        from atnet.network.model import rebuild

        network = rebuild((self.folder / "architecture.json").read_text(encoding="utf-8"))
        network.load_weights(self.folder / "model.weights.h5")
        inside = Model(network.inputs, [network.get_layer("embedding").output, network.output["logits"]])
        scores = []
        for ids, side in zip(self.ids, self.sides, strict=True):
            with tf.GradientTape() as tape:
                embedded, logits = inside(tf.constant([ids], tf.int32), training=False)
                lead = tf.reduce_sum(logits * side.astype(np.float32))
            scores.append(tf.reduce_sum(tape.gradient(lead, embedded) * embedded, axis=-1)[0].numpy())
        return scores


def main(argv: Sequence[str] | None = None) -> int:
    """Judge every way and print a table for each manner of taking words out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("data/07_model"))
    parser.add_argument("--test", type=Path, default=Path("data/03_splits/test.parquet"))
    parser.add_argument("--texts", type=int, default=500, help="drawn from the test split")
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args(argv)
    print(f"{machine()}; {busy()}; {versions('onnxruntime', 'tensorflow-cpu', 'keras', 'numpy')}\n")
    predictor = Predictor.load(arguments.model)
    ways = Ways(predictor, arguments.model, _texts(predictor, arguments), arguments.seed)
    words = np.array([len(one) for one in ways.ids])
    print(f"{len(words)} texts of {words.min()} to {words.max()} tokens, mean {words.mean():.1f}.\n")
    scored, costs = _scored(ways)
    for title, without in (("Words taken out", removed), ("Words replaced by the unknown word", replaced)):
        judged = {
            name: faithfulness(predictor.logits, predictor.temperature, ways.ids, scores, without)
            for name, scores in scored.items()
        }
        judged[RANDOM] = _random(ways, without)
        print(f"{title}:\n\n{_table(judged, costs, arguments.seed)}\n")
    return 0


def _texts(predictor: Predictor, arguments: argparse.Namespace) -> list[str]:
    """Draw texts of two tokens or more: a single word leaves nothing to rank."""
    texts = pd.read_parquet(arguments.test)["text"].tolist()
    long_enough = [row for row, ids in enumerate(predictor.encode(texts)) if len(ids) > 1]
    rng = np.random.default_rng(arguments.seed)
    rows = rng.choice(long_enough, size=min(arguments.texts, len(long_enough)), replace=False)
    return [texts[row] for row in sorted(rows)]


def _scored(ways: Ways) -> tuple[dict[str, Scores], dict[str, tuple[str, float]]]:
    scored, costs = {}, {RANDOM: ("0", 0.0)}
    for name, (answers, way) in ways.all().items():
        begun = time.perf_counter()
        scored[name] = way()
        costs[name] = (answers, 1000 * (time.perf_counter() - begun) / len(ways.ids))
    return scored, costs


def _random(ways: Ways, without: Callable[[list[int], np.ndarray], list[int]]) -> Faithfulness:
    rng = np.random.default_rng(ways.seed)
    found = [
        faithfulness(
            ways.predictor.logits,
            ways.predictor.temperature,
            ways.ids,
            [rng.random(len(ids)) for ids in ways.ids],
            without,
        )
        for _ in range(RANDOM_ORDERS)
    ]
    names = ("deletion", "insertion", "comprehensiveness", "sufficiency")
    return Faithfulness(*(np.mean([getattr(one, name) for one in found], axis=0) for name in names))


def _table(judged: Mapping[str, Faithfulness], costs: Mapping[str, tuple[str, float]], seed: int) -> str:
    header = [
        "words ranked by",
        "deletion, low is good",
        "insertion, high",
        "area between, high",
        "… minus ours",
        "comprehensiveness, high",
        "sufficiency, low",
        "answers per text",
        "ms per text",
    ]
    rows = []
    for name, found in sorted(judged.items(), key=lambda item: -float(item[1].between.mean())):
        difference = found.between - judged[OURS].between
        values = (found.deletion, found.insertion, found.between, difference)
        cells = [_cell(one, seed) for one in (*values, found.comprehensiveness, found.sufficiency)]
        if name == OURS:
            cells[3] = ""
        answers, milliseconds = costs[name]
        rows.append([name, *cells, answers, f"{milliseconds:.1f}" if milliseconds else ""])
    return table(header, rows)


def _cell(values: np.ndarray, seed: int) -> str:
    mean, low, high = interval(values, np.random.default_rng(seed))
    return f"{mean:z.3f} ({low:z.3f} to {high:z.3f})"


if __name__ == "__main__":
    sys.exit(main())
