"""The parts of the training benchmark that compute something."""

import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from atnet.network.training_inputs import TrainingInputs
from atnet.storage import write_arrow
from atnet.text.encoded_split import EncodedSplit
from benchmarks.measure import Measurement
from benchmarks.training_floor import CONVOLUTION, LARGEST, operations_per_token, rates
from benchmarks.training_rows import parameters, resample, resample_project, write_csv
from benchmarks.training_tables import Epoch, Run, comparison_report, floor_report, growth_report, slope
from tests.encoded import VOCABULARY, encoded_split, write_tokens, write_vectors
from tests.settings import ROOT


def run(*accuracies: float, rows: int = 1000, seconds: float = 2.0, peak: int = 10**9) -> Run:
    """Build a run whose epochs took that many seconds and reached these accuracies."""
    epochs = tuple(
        Epoch(seconds, (seconds + 1) * number, (seconds + 1) * number + 8, accuracy)
        for number, accuracy in enumerate(accuracies, start=1)
    )
    return Run(rows, rows * 200, 1.0, 5 * 10**8, epochs, 100_000, peak)


def test_a_run_is_built_from_the_report_of_its_process() -> None:
    report: dict[str, object] = {"rows": 10, "tokens": 90, "setup_seconds": 1.5, "anonymous_bytes": 7, "operations": 3}
    report["epochs"] = [{"train_seconds": 2.0, "since_training": 2.5, "since_start": 9.0, "accuracy": 0.7}]
    result = Run.from_report(report, Measurement(12.0, 20.0, 4096, ""))
    assert result.peak_bytes == 4096
    assert result.speed == 5.0
    assert result.first_reaching(0.7) == result.best
    assert result.first_reaching(0.71) is None


def test_the_time_is_measured_until_the_plain_scripts_best_accuracy_is_reached() -> None:
    plain = run(0.6, 0.8, 0.75, seconds=9.0)
    project = run(0.7, 0.85, 0.9, seconds=1.0, peak=2 * 10**9)
    text = comparison_report([plain], [project], preparation=4.0)
    # Twenty seconds for two epochs of ten seconds, against four for two of two seconds.
    assert "| time to the plain script's best accuracy (s) | 20.0 | 4.0 | 0.20 | at most 1/5 |" in text
    assert "| … from process start, with `tokenize` and `vectors` | 28.0 | 16.0 | 0.57 |  |" in text
    assert "| training, texts per second | 111 | 1,000 | 9.00 | at least 4 |" in text
    assert "| peak memory (MB) | 1,000 | 2,000 | 2.00 | at most 1 |" in text


def test_the_report_states_that_an_accuracy_was_not_reached() -> None:
    text = comparison_report([run(0.8)], [run(0.7)], preparation=1.0)
    assert "did not reach" in text
    assert "time to" not in text


def test_the_slope_is_1_for_linear_growth_and_0_for_none() -> None:
    assert math.isclose(slope([1000, 2000, 8000], [3.0, 6.0, 24.0]), 1)
    assert math.isclose(slope([1000, 2000, 8000], [5.0, 5.0, 5.0]), 0, abs_tol=1e-12)
    text = growth_report([run(0.5, rows=1000, seconds=1.0), run(0.5, rows=4000, seconds=4.0)])
    assert "time of the steps 1.00, peak memory 0.00" in text
    assert "| 4,000 | 4.0 | 1.000 |" in text


def test_the_operations_are_those_of_the_convolution_and_the_score() -> None:
    assert operations_per_token(dimensions=100, filters=64, kernel=5) == 3 * (2 * 500 * 64 + 2 * 64)


def test_the_products_of_the_convolution_are_added_by_their_time() -> None:
    shapes = {"first": (10, 10, 5), "second": (10, 10, 15), LARGEST: (100, 100, 100)}
    seconds = {name: {"float32": taken} for name, taken in {"first": 1.0, "second": 3.0, LARGEST: 1.0}.items()}
    result = rates(shapes, seconds)
    assert result[CONVOLUTION]["float32"] == (1000 + 3000) / 4
    assert result[LARGEST]["float32"] == 2_000_000


def test_the_training_is_compared_with_the_matrix_products_alone() -> None:
    products = {"product": {"float32": 10**10, "bfloat16": 2 * 10**10}}
    floor = {"products": products, "compared": ["product"], "precision": "bfloat16"}
    # 1,000 texts of 200 tokens and 100,000 operations each: a second at 20 GFLOP/s; the epoch took two.
    text = floor_report(floor, [run(0.8)])
    assert "would take 1.0 s: the training reaches 50% of it" in text


def test_resampled_texts_differ_from_the_original_ones_in_few_tokens(tmp_path: Path) -> None:
    split = encoded_split(50, max_tokens=40)
    write_arrow(tmp_path / "rows.arrow", resample(split, 200))
    drawn = EncodedSplit.load(tmp_path / "rows.arrow")
    assert len(drawn) == 200
    chosen = np.random.default_rng(13).integers(50, size=200)
    assert np.array_equal(drawn.lengths, split.lengths[chosen])
    assert np.array_equal(drawn.labels, split.labels[chosen])
    unchanged = [
        (drawn.padded(np.array([row]), 40) == split.padded(np.array([source]), 40))[0, : split.lengths[source]].mean()
        for row, source in enumerate(chosen)
    ]
    assert 0.9 < np.mean(unchanged) < 1


def test_a_resampled_project_can_be_trained(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    write_tokens(source)
    write_vectors(source, np.zeros((VOCABULARY, 100), np.float32))
    shutil.copy(ROOT / "params.yaml", source)
    resample_project(source, target, rows=400)
    assert len(TrainingInputs.load(target).train) == 400


def test_a_part_of_the_rows_is_spread_over_the_whole_file(tmp_path: Path) -> None:
    import gzip

    with gzip.open(tmp_path / "all.csv.gz", "wt") as file:
        file.write("text,label\n" + "".join(f"text {row},a\n" for row in range(100)))
    write_csv(tmp_path / "all.csv.gz", tmp_path / "part.csv", 4)
    lines = (tmp_path / "part.csv").read_text().splitlines()
    assert lines == ["text,label", "text 0,a", "text 25,a", "text 50,a", "text 75,a"]
    write_csv(tmp_path / "all.csv.gz", tmp_path / "whole.csv", 0)
    assert len((tmp_path / "whole.csv").read_text().splitlines()) == 101


def test_the_training_parameters_are_the_projects() -> None:
    import yaml

    from atnet.config import parse_params

    assert parse_params(yaml.safe_dump(parameters())).train == parse_params((ROOT / "params.yaml").read_text()).train


def test_the_benchmark_process_imports_nothing_large() -> None:
    # A child's peak memory is at least that of the process that started it.
    code = "import sys, benchmarks.training; print({'numpy', 'pandas', 'tensorflow', 'atnet'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
def test_the_benchmark_runs_on_a_few_rows(datasets: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.training", "--rows", "800", "--epochs", "1", "--own-epochs", "1"]
    command += ["--runs", "1", "--growth", "400", "800"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("plain Keras script", "ms per row", "bfloat16 (GFLOP/s)"):
        assert part in done.stdout
