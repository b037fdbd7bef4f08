"""Stage `evaluate`: evaluate the exported model on the test split and write the report."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet import files
from atnet.config import Params
from atnet.errors import ModelError
from atnet.evaluation import serialize
from atnet.evaluation.evaluate import evaluate as evaluate_predictions
from atnet.evaluation.examples import attention_samples
from atnet.evaluation.predictions import collect_predictions
from atnet.evaluation.selective import RejectOption
from atnet.evaluation.slices import count_words, unknown_shares
from atnet.inference import UNKNOWN_ID, Predictor, UnusableModelError, model_hash
from atnet.report.explanations.global_explanation import global_explanation
from atnet.report.explanations.learned_weights import LearnedWeights
from atnet.report.report_page import ModelIdentity, ReportInputs, render_report
from atnet.report.sentences import summarize
from atnet.schema import TEXT
from atnet.stages.command import run_stage
from atnet.storage import read_json, read_table, write_csv, write_json, write_table, write_text


def evaluate(params: Params, root: Path) -> str:
    """Evaluate the model through the inference code that serves it, and write everything a reviewer needs."""
    config = params.evaluate
    predictor, sha256 = _load(root / files.MODEL)
    table = read_table(root / files.split_table("test"))
    texts = table[TEXT].tolist()
    predictions = collect_predictions(
        table,
        predictor.predict(texts),
        read_table(root / files.BASELINE_PREDICTIONS),
        RejectOption.of_config(read_json(root / files.INFERENCE_CONFIG)),
    )
    unknown_share_N = unknown_shares(predictor.encode(texts), UNKNOWN_ID)
    evaluation = evaluate_predictions(table, predictions, unknown_share_N, config)
    metrics = serialize.metrics(evaluation, predictor.temperature)
    words = count_words(texts)
    samples = attention_samples(predictions.actual, predictions.probabilities, words, config.explained_texts)
    explanations = predictor.explain([texts[sample.row] for sample in samples])
    learned = LearnedWeights.load(root / files.WEIGHTS)
    overview = global_explanation(predictor, table, learned, min_slice_rows=config.min_slice_rows)
    identity = ModelIdentity(sha256, predictor.temperature, read_json(root / files.SPLIT_REPORT))
    inputs = ReportInputs(table, predictions, evaluation, metrics, samples, explanations, overview, identity)
    page = render_report(inputs, config)

    write_table(root / files.PREDICTIONS, serialize.prediction_table(table, predictions))
    for name, plot in serialize.plot_tables(evaluation, predictions, words, config.length_quantiles).items():
        write_csv(root / files.PLOTS / f"{name}.csv", plot)
    write_json(root / files.SLICE_METRICS, serialize.slice_values(evaluation))
    write_json(root / files.METRIC_DETAILS, serialize.details(evaluation))
    write_json(root / files.METRICS, metrics)
    write_text(root / files.REPORT, page)
    return summarize(metrics, config.confidence)[0]


def _load(model: Path) -> tuple[Predictor, str]:
    try:
        return Predictor.load(model), model_hash(model)
    except UnusableModelError as error:
        raise ModelError(str(error)) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("evaluate", evaluate, argv)


if __name__ == "__main__":
    sys.exit(main())
