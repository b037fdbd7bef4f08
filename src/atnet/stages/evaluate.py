"""Stage `evaluate`: evaluate the exported model on the test split and write the report."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from atnet import files
from atnet.config import EvaluateConfig, Params
from atnet.errors import ModelError
from atnet.evaluation import serialize
from atnet.evaluation.evaluate import evaluate as evaluate_predictions
from atnet.evaluation.examples import attention_samples
from atnet.evaluation.predictions import PredictedBatch, SplitPredictions, collect_predictions, needed_disk
from atnet.evaluation.row_features import RowFeatures
from atnet.evaluation.selective import RejectOption
from atnet.evaluation.slices import unknown_shares
from atnet.inference import UNKNOWN_ID, Predictor, UnusableModelError, model_hash
from atnet.report.explanations.global_explanation import explained_rows, global_explanation
from atnet.report.explanations.learned_weights import LearnedWeights
from atnet.report.report_page import ModelIdentity, ReportInputs, listed_rows, render_report
from atnet.report.sentences import summarize
from atnet.schema import TEXT
from atnet.spill import require_free_disk, spill_folder
from atnet.stages.command import run_stage
from atnet.storage import read_json, write_csv, write_csv_batches, write_json, write_text
from atnet.table_batches import read_batches, read_rows, table_shape, table_writer

BATCH_ROWS = 4_000
"""Texts in memory at a time, with their tokens."""
TEST = files.split_table("test")


def evaluate(params: Params, root: Path) -> str:
    """Evaluate the model through the inference code that serves it, and write everything a reviewer needs."""
    config = params.evaluate
    predictor, sha256 = _load(root / files.MODEL)
    require_free_disk(root, needed_disk(table_shape(root / TEST).rows, len(predictor.labels)), "stage evaluate")
    with spill_folder(root, "evaluate") as folder:
        predicted = _predict(predictor, root, folder)
        inputs = _report_inputs(predicted, predictor, root, config, sha256)
        page = render_report(inputs, config)
        write_csv_batches(root / files.PLOTS / "confusion.csv", serialize.confusion_tables(predicted.predictions))
    evaluation, metrics = inputs.evaluation, inputs.metrics
    for name, plot in serialize.plot_tables(evaluation, inputs.words_N, config.length_quantiles).items():
        write_csv(root / files.PLOTS / f"{name}.csv", plot)
    write_json(root / files.SLICE_METRICS, serialize.slice_values(evaluation))
    write_json(root / files.METRIC_DETAILS, serialize.details(evaluation))
    write_json(root / files.METRICS, metrics)
    write_text(root / files.REPORT, page)
    return summarize(metrics, config.confidence)[0]


@dataclass(frozen=True, slots=True)
class _PredictedSplit:
    features: RowFeatures
    predictions: SplitPredictions


def _predict(predictor: Predictor, root: Path, folder: Path) -> _PredictedSplit:
    """Predict the test split in batches and write the predictions."""
    features: list[RowFeatures] = []
    with table_writer(root / files.PREDICTIONS) as writer:

        def predicted() -> Iterator[PredictedBatch]:
            for table in read_batches(root / TEST, batch_rows=BATCH_ROWS):
                ids = predictor.encode(table[TEXT].tolist())
                features.append(RowFeatures.of(table, ids, unknown_shares(ids, UNKNOWN_ID)))
                batch = PredictedBatch(table, predictor.predict_ids(ids))
                writer.write(serialize.prediction_table(batch))
                yield batch

        option = RejectOption.of_config(read_json(root / files.INFERENCE_CONFIG))
        predictions = collect_predictions(predicted(), read_batches(root / files.BASELINE_PREDICTIONS), folder, option)
    return _PredictedSplit(RowFeatures.concatenated(features), predictions)


def _report_inputs(
    predicted: _PredictedSplit, predictor: Predictor, root: Path, config: EvaluateConfig, sha256: str
) -> ReportInputs:
    """Evaluate the predictions and read the texts that the report shows."""
    features, predictions = predicted.features, predicted.predictions
    evaluation = evaluate_predictions(features, predictions, config)
    samples = attention_samples(predictions.actual, predictions.probabilities, features.words_N, config.explained_texts)
    in_lists = [row for rows in listed_rows(predictions, config.example_texts).values() for row in rows]
    listed = read_rows(root / TEST, [*in_lists, *(sample.row for sample in samples)])
    explained = read_rows(root / TEST, explained_rows(len(predictions.actual), features.tokens))
    learned = LearnedWeights.load(root / files.WEIGHTS)
    return ReportInputs(
        listed=listed,
        words_N=features.words_N,
        predictions=predictions,
        evaluation=evaluation,
        metrics=serialize.metrics(evaluation, predictor.temperature),
        samples=samples,
        explanations=predictor.explain([listed[TEXT][sample.row] for sample in samples]),
        overview=global_explanation(predictor, explained, learned, min_slice_rows=config.min_slice_rows),
        identity=ModelIdentity(sha256, predictor.temperature, read_json(root / files.SPLIT_REPORT)),
    )


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
