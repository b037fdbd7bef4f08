"""`atnet analyze`: learning curves and label issues."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from atnet.analysis.learning_curve import LearningCurve

app = typer.Typer(name="analyze", help="Analyze the data: learning curve, label issues.", no_args_is_help=True)
Folder = Annotated[Path | None, typer.Option(help="Output folder; by default analyze.output_folder of params.yaml.")]
MODEL_HELP = "atnet, nb_svm, tfidf_logistic_regression or linear_svm"


@app.command("learning-curve")
def learning_curve(
    model: Annotated[
        list[str] | None, typer.Option(help=f"{MODEL_HELP}; may be repeated. By default atnet and nb_svm.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of AtNet per fraction.")] = 1,
    folder: Folder = None,
) -> None:
    """Train on growing fractions of the texts and estimate the gain from twice as many."""
    from atnet.analysis.run import analyze_learning_curve
    from atnet.storage import load_params

    params = load_params()
    output = folder or Path(params.analyze.output_folder)
    models = list(dict.fromkeys(model or ("atnet", "nb_svm")))
    curves = analyze_learning_curve(params, output, models, seeds)
    print("\n" + "\n".join(_curve_lines(curves, params.analyze.confidence)))
    print(f"\nlearning-curve: {output / 'learning_curve.html'}, .csv and .json")


@app.command()
def labels(
    model: Annotated[str, typer.Option(help=f"{MODEL_HELP}.")] = "nb_svm",
    folder: Folder = None,
) -> None:
    """List the labels of train and validation that are probably wrong; the test split is not read."""
    from atnet.analysis.rating_agreement import describe_agreement
    from atnet.analysis.run import analyze_labels
    from atnet.formatting import percent
    from atnet.storage import load_params

    params = load_params()
    output = folder or Path(params.analyze.output_folder)
    issues, agreement = analyze_labels(params, output, model)
    rows, flagged = len(issues.given_labels), len(issues.issues)
    print(f"\n{flagged:,} of {rows:,} labels look wrong ({percent(flagged / rows)})")
    for sentence in describe_agreement(agreement) if agreement else ():
        print(sentence)
    print(f"\nlabels: {output / 'label_issues.html'}, .csv and .json")


def _curve_lines(curves: "list[LearningCurve]", confidence: float) -> list[str]:
    from atnet.formatting import fixed, interval, percent, points, with_interval
    from atnet.report.sentences import display_name

    header = ("model", "texts", "accuracy", f"{confidence:.0%} interval", "macro-F1", "fit")
    rows = [header]
    for curve in curves:
        for point in curve.points:
            accuracy, fitted = point.accuracy, curve.power_law.accuracy_at(point.train_rows)
            scores = (percent(accuracy.value), interval(accuracy, percent), fixed(point.macro_f1), percent(fitted))
            rows.append((display_name(curve.model), f"{point.train_rows:,}", *scores))
        doubled = curve.doubled_accuracy
        scores = (percent(doubled.value), interval(doubled, percent), "", percent(doubled.value))
        rows.append(("  extrapolated", f"{curve.doubled_rows:,}", *scores))
    lines = [f"{a:<28}  {b:>8}  {c:>8}  {d:<16}  {e:>8}  {f:>8}".rstrip() for a, b, c, d, e, f in rows]
    gains = [
        f"{display_name(curve.model)}: twice the texts would change accuracy by "
        f"{with_interval(curve.gain, points)} percentage points."
        for curve in curves
    ]
    return [*lines, "", *gains]
