"""Stage `evaluate`: the exported model and the test split in, numbers and the report out."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet.config import Params
from atnet.errors import ModelError
from atnet.evaluation.answers import gather_answers
from atnet.evaluation.examples import attention_samples
from atnet.evaluation.judging import evaluate as judge
from atnet.evaluation.results import details, metrics, plot_tables, prediction_table, slice_values
from atnet.evaluation.slices import count_words, unknown_shares
from atnet.evaluation.verdict import verdict
from atnet.globalview.tables import LearntTables
from atnet.globalview.view import global_view
from atnet.inference import UNKNOWN_ID, Predictor, UnusableModelError, model_hash
from atnet.reporting.report import Identity, render_report
from atnet.stages.command import run_stage
from atnet.storage import read_json, read_table, write_json, write_table, write_text
from atnet.table import TEXT


def evaluate(params: Params, model: Path, splits: Path, baseline: Path, evaluation: Path) -> str:
    """Judge the model as it will be served, and write everything a reviewer needs."""
    predictor, sha256 = _load(model)
    table = read_table(splits / "test.parquet")
    texts = table[TEXT].tolist()
    answers = gather_answers(table, predictor.predict(texts), read_table(baseline / "predictions.parquet"))
    judged = judge(table, answers, unknown_shares(predictor.encode(texts), UNKNOWN_ID), params.evaluate)
    numbers = metrics(judged, predictor.temperature)
    words = count_words(texts)
    samples = attention_samples(answers.actual, answers.probabilities, words, params.evaluate.attention_texts)
    explanations = predictor.explain([texts[sample.row] for sample in samples])
    learnt = LearntTables.load(model / "model.weights.h5")
    overview = global_view(predictor, table, learnt, minimum_rows=params.evaluate.minimum_slice_rows)
    identity = Identity(sha256, predictor.temperature, read_json(splits / "report.json"))
    page = render_report(table, answers, judged, numbers, samples, explanations, overview, identity, params.evaluate)

    write_table(evaluation / "predictions.parquet", prediction_table(table, answers))
    for name, plotted in plot_tables(judged, answers, words, params.evaluate.length_slices).items():
        write_text(evaluation / "plots" / f"{name}.csv", plotted.to_csv(index=False, lineterminator="\n"))
    write_json(evaluation / "slices.json", slice_values(judged))
    write_json(evaluation / "details.json", details(judged))
    write_json(evaluation / "metrics.json", numbers)
    write_text(evaluation / "report.html", page)
    return verdict(numbers, params.evaluate.confidence)[0]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("evaluate", ("model", "splits", "baseline", "evaluation"), evaluate, argv)


def _load(model: Path) -> tuple[Predictor, str]:
    try:
        return Predictor.load(model), model_hash(model)
    except UnusableModelError as error:
        raise ModelError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
