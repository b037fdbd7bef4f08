"""`atnet summary`: what went in, how good the model is and where to look further."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import typer

from atnet.config import Params
from atnet.files import METRICS, REPORT, VALIDATION_REPORT
from atnet.report.sentences import display_name, summarize
from atnet.storage import load_params, read_json

app = typer.Typer()
MODEL_NAME = "AtNet"


@app.command()
def summary() -> None:
    """Summarize the last pipeline run."""
    print(summary_text(load_params()))


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One model's scores on the test split; the interval is known for AtNet only."""

    model: str
    accuracy: str
    macro_f1: str


def score_rows(metrics: Mapping[str, Any]) -> list[ScoreRow]:
    """Put AtNet's scores above those of the baselines, the best_baseline_score first.

    Args:
        metrics: as in metrics.json.
    """
    baselines = sorted(metrics["baselines"].items(), key=lambda item: item[1]["macro_f1"], reverse=True)
    return [
        ScoreRow(MODEL_NAME, _interval(metrics["accuracy"]), _interval(metrics["macro_f1"])),
        *(
            ScoreRow(display_name(name), f"{scores['accuracy']:.3f}", f"{scores['macro_f1']:.3f}")
            for name, scores in baselines
        ),
    ]


def read_metrics() -> dict[str, Any]:
    """Read the evaluation's metrics.json.

    Raises:
        DataFileError: if the evaluation has not run.
    """
    metrics: dict[str, Any] = read_json(METRICS)
    return metrics


def summary_text(params: Params) -> str:
    """Return the summary of the last pipeline run.

    Raises:
        DataFileError: if the pipeline has not run.
    """
    rows = read_json(VALIDATION_REPORT)["rows"]
    metrics = read_metrics()
    return "\n".join(
        [
            _rows_line(rows),
            "",
            f"Test split, {metrics['rows']:,} texts, {params.evaluate.confidence:.0%} intervals:",
            *_table(score_rows(metrics)),
            "",
            *summarize(metrics, params.evaluate.confidence)[1:],
            "",
            f"Report   {REPORT}",
            f"Runs     `make ui` opens MLflow; experiment {params.tracking.experiment}",
        ]
    )


def _rows_line(rows: Mapping[str, int]) -> str:
    return (
        f"Rows     {rows['read']:,} read: {rows['valid']:,} valid, {rows['excluded']:,} excluded, "
        f"{rows['quarantined']:,} quarantined"
    )


def _table(rows: list[ScoreRow]) -> list[str]:
    width = max(len(row.model) for row in rows)
    heading = ScoreRow("", "accuracy", "macro-F1")
    return [f"  {row.model:<{width}}  {row.accuracy:<22}  {row.macro_f1}" for row in (heading, *rows)]


def _interval(score: Mapping[str, float]) -> str:
    return f"{score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f})"
