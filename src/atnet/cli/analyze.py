"""The commands that look at the data, off the default path: `atnet analyze learning-curve` and `… labels`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="analyze", help="Look at the data: what more of it would give, which labels look wrong.", no_args_is_help=True
)
Folder = Annotated[Path | None, typer.Option(help="Where to write; analyze.output_folder of params.yaml.")]
MODEL_HELP = "atnet, nb_svm or tfidf_logistic_regression"


@app.command("learning-curve")
def learning_curve(
    model: Annotated[
        list[str] | None, typer.Option(help=f"{MODEL_HELP}; may be repeated. Without it: atnet and nb_svm.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of AtNet for each share.")] = 1,
    folder: Folder = None,
) -> None:
    """Train on growing shares of the texts and estimate what twice as many would give."""
    from atnet.storage import load_params

    params = load_params()
    from atnet.analysis.pages import model_name
    from atnet.analysis.run import analyze_learning_curve

    target = folder or Path(params.analyze.output_folder)
    models = list(dict.fromkeys(model or ("atnet", "nb_svm")))
    curves = analyze_learning_curve(params, target, models, seeds, tell=_tell)
    level = f"{params.analyze.confidence:.0%} interval"
    print(f"\n{'model':<22}{'texts':>10}  {'accuracy':>8}  {level:<16}  {'macro-F1':>8}  {'fit':>6}")
    for curve in curves:
        for point in curve.points:
            fitted, between = 1 - curve.law.error_at(point.rows), _between(point.accuracy.low, point.accuracy.high)
            print(
                f"{model_name(curve.model):<22}{point.rows:>10,}  {point.accuracy.value:>8.1%}  {between:<16}"
                f"  {point.macro_f1:>8.3f}  {fitted:>6.1%}"
            )
        between = _between(curve.more.low, curve.more.high)
        print(f"{'  estimate':<22}{curve.more_rows:>10,}  {curve.more.value:>8.1%}  {between:<16}")
        gain = curve.gain
        print(f"  twice the texts: {100 * gain.value:+.1f} points ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})")
    print(f"\nlearning-curve: {target / 'learning_curve.html'}, .csv and .json")


@app.command()
def labels(
    model: Annotated[str, typer.Option(help=f"{MODEL_HELP}.")] = "nb_svm",
    folder: Folder = None,
) -> None:
    """List the labels of train and validation that are likely wrong; the test split is not read."""
    from atnet.storage import load_params

    params = load_params()
    from atnet.analysis.rating_agreement import told
    from atnet.analysis.run import analyze_labels

    target = folder or Path(params.analyze.output_folder)
    found, doubt = analyze_labels(params, target, model, tell=_tell)
    rows = len(found.given)
    print(f"\n{len(found.flagged):,} of {rows:,} labels look wrong ({len(found.flagged) / rows:.1%})")
    for sentence in told(doubt) if doubt else ():
        print(sentence)
    print(f"\nlabels: {target / 'labels.html'}, .csv and .json")


def _between(low: float, high: float) -> str:
    return f"{low:.1%} to {high:.1%}"


def _tell(line: str) -> None:
    print(f"analyze: {line}", flush=True)
