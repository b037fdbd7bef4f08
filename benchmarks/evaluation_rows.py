"""Measure stage `evaluate`, or the gate of `atnet release`, on generated test rows: seconds and peak memory.

    python -m benchmarks.evaluation_rows --model data/07_model --rows 1000 100000 1000000
    python -m benchmarks.evaluation_rows --gate --model data/07_model --rows 1000 100000 400000

The model is that of a finished run with the labels negative and positive. The stage runs as a separate command in a
temporary project folder, as DVC runs it. Prints a Markdown table.

With `--gate`, the model is the challenger and the champion: the gate's inputs are collected from two separate processes
and measured. The registry is left out; the files of the version are those that it would download. The peak is that of
the command or of a model's process, whichever is larger.

The texts are 10,000 generated ones of `--words` words, repeated with the row's number. Memory hardly depends on
`--bootstrap-samples`, time does.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from atnet.files import BASELINE, BASELINE_PREDICTIONS, MODEL, PARAMS_FILE, SPLIT_REPORT, SPLITS, split_table
from atnet.table_batches import table_writer
from atnet.tracking.logged_model import save_pyfunc
from benchmarks.measure import machine, markdown_table, measure, system_load, versions
from benchmarks.project_copy import ROOT, command_environment
from benchmarks.rows import CHUNK, StageCost, generate_texts, generate_words, measure_stage, write_params

LABELS = ["negative", "positive"]
POOL = 10_000
VERSION = "version"
"""Folder of the model as it is registered."""
GATE_CODE = f"""
import contextlib
import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import numpy as np

from atnet.registry.versions import Version
from atnet.release import gate_inputs
from atnet.release.gate.measurements import measure
from atnet.storage import load_params

gate_inputs.verified_files = lambda *_: contextlib.nullcontext(Path("{VERSION}"))
version = Version(1, "a" * 64, "run", "model", datetime(2026, 1, 1), {{}})
config = load_params().release
candidate = gate_inputs.Candidate(version, version)
inputs = gate_inputs.collect_gate_inputs(config, Path(), None, candidate, gate_inputs.IsolationOptions())
measurements = asdict(measure(inputs, config, np.random.default_rng(config.seed)))
print(json.dumps(measurements, default=str))
"""


def write_test_split(project: Path, rows: int, words: int, seed: int) -> None:
    """Write a test split, the baselines' predictions and the sizes of the splits."""
    rng = np.random.default_rng(seed)
    pool = generate_texts(POOL, generate_words(rng), rng)
    with table_writer(project / split_table("test")) as test, table_writer(project / BASELINE_PREDICTIONS) as baselines:
        for start in range(0, rows, CHUNK):
            size = min(CHUNK, rows - start)
            ids = pd.DataFrame({"id": [f"row-{row:08d}" for row in range(start, start + size)]})
            texts = [f"{' '.join(pool[row % POOL].split(' ')[:words])} {row}" for row in range(start, start + size)]
            labels = rng.choice(LABELS, size=size)
            test.write(ids.assign(text=texts, label=labels, domain=rng.choice(["a", "b", "c"], size=size)))
            guesses = {name: rng.choice(LABELS, size=size) for name in ("nb_svm", "linear_svm")}
            baselines.write(ids.assign(majority="positive", **guesses))
    report = {"splits": {name: {"rows": rows} for name in ("train", "validation", "test")}, "leaks": {}}
    (project / SPLIT_REPORT).write_text(json.dumps(report))


def measure_rows(rows: int, arguments: argparse.Namespace) -> StageCost:
    """Run the stage on that many rows."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        write_params(project / PARAMS_FILE, {"evaluate": {"bootstrap_samples": arguments.bootstrap_samples}})
        for output in (SPLITS, BASELINE):
            (project / output).mkdir(parents=True)
        shutil.copytree(arguments.model, project / MODEL)
        write_test_split(project, rows, arguments.words, arguments.seed)
        return measure_gate(rows, project) if arguments.gate else measure_stage("evaluate", rows, project)


def measure_gate(rows: int, project: Path) -> StageCost:
    """Collect and measure the gate's inputs in a project folder."""
    shutil.copytree(ROOT / "behavior", project / "behavior")
    save_pyfunc(project / VERSION, sorted((project / MODEL).iterdir()), example=["a good film"])
    cost = measure([sys.executable, "-c", GATE_CODE], project, command_environment(ROOT))
    return StageCost("gate", rows, cost.seconds, cost.cpu_seconds, cost.peak_bytes / 1e9)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--gate", action="store_true", help="measure the gate of `atnet release`")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--words", type=int, default=20)
    parser.add_argument("--bootstrap-samples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=13)
    arguments = parser.parse_args()
    print(machine(), versions("onnxruntime", "numpy", "pyarrow"), system_load(), sep="; ", end="\n\n")
    costs = [measure_rows(rows, arguments) for rows in arguments.rows]
    lines = [
        [f"{cost.rows:,}", f"{cost.seconds:.1f}", f"{cost.cpu_seconds:.1f}", f"{cost.peak_gigabytes:.2f}"]
        for cost in costs
    ]
    print(markdown_table(["rows", "s", "CPU s", "peak GB"], lines, left=0))


if __name__ == "__main__":
    main()
