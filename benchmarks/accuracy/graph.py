"""The dvc.yaml of a project copy: the project's own stages up to `train`, and the benchmark's stages after them.

Everything the benchmark computes is the output of a DVC stage, so DVC alone decides what is run, skipped or restored.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from atnet.files import INFERENCE_CONFIG, MODEL, split_table
from benchmarks.accuracy.models import Kind
from benchmarks.accuracy.results import facts_file, predictions_file, search_file

SEEDS_FILE = Path("benchmark.yaml")
"""Parameters of the benchmark's own stages: seed and search_seed."""
BEFORE_TRAIN = ("validate", "split", "tokenize", "vectors")
TRAINING_STAGE: Mapping[Kind, str] = {
    "atnet": "train",
    "linear": "linear_validation",
    "fasttext": "fasttext_validation",
}
"""The stage whose record in dvc.lock says what a model was trained on and with."""
LIBRARY = ("src/atnet/baselines", "src/atnet/evaluation", "src/atnet/inference.py", "src/atnet/text", "src/atnet/wide")

Stage = dict[str, Any]


def benchmark_graph(project_graph: str) -> str:
    """Return the dvc.yaml of a copy, given that of the project."""
    project: dict[str, Stage] = yaml.safe_load(project_graph)["stages"]
    stages = {name: _cacheable(project[name]) for name in BEFORE_TRAIN}
    stages["train"] = _timed(project["train"])
    for split in ("validation", "test"):
        stages[target("atnet", split)] = _predict_atnet(split)
        stages[target("linear", split)] = _fit_linear(split)
        stages[target("fasttext", split)] = _fit_fasttext(split)
    stages["fasttext_search"] = _search_fasttext()
    return yaml.safe_dump({"stages": stages}, sort_keys=False)


def target(kind: Kind, split: str) -> str:
    """Return the stage that writes a model's predictions for a split."""
    return f"{kind}_{split}"


def packages_file(kind: Kind) -> Path:
    """Return the file that lists the package versions a model depends on."""
    return Path("packages") / f"{kind}.txt"


def _cacheable(stage: Stage) -> Stage:
    """Remove `persist`: DVC restores no stage from its cache of runs that has such an output."""
    outs = [
        next(iter(out)) if isinstance(out, dict) and set(*out.values()) == {"persist"} else out for out in stage["outs"]
    ]
    return {**stage, "outs": outs}


def _timed(train: Stage) -> Stage:
    """Run the project's `train` stage through a command that also records its duration."""
    return {
        **train,
        "cmd": "python -m benchmarks.accuracy.train_atnet",
        "deps": [*train["deps"], *_code("train_atnet"), str(packages_file("atnet"))],
        "outs": [*train["outs"], str(facts_file("atnet"))],
    }


def _predict_atnet(split: str) -> Stage:
    model = [str(path) for path in (INFERENCE_CONFIG, MODEL / "model.onnx", MODEL / "tokenizer.json")]
    return {
        "cmd": f"python -m benchmarks.accuracy.predict_atnet {split}",
        "deps": [*_splits(split), *model, "src/atnet/inference.py", *_code("predict_atnet")],
        "outs": [str(predictions_file("atnet", split))],
    }


def _fit_linear(split: str) -> Stage:
    """Choose C and predict on validation; predict on test with the same C."""
    facts, predictions = str(facts_file("linear")), str(predictions_file("linear", split))
    chooses = split == "validation"
    return {
        "cmd": f"python -m benchmarks.accuracy.fit_linear {split}",
        "deps": [
            *_splits(split),
            *([] if chooses else [facts]),
            *LIBRARY,
            *_code("fit_linear", "search"),
            str(packages_file("linear")),
        ],
        "params": ["baseline"],
        "outs": [facts, predictions] if chooses else [predictions],
    }


def _search_fasttext() -> Stage:
    return {
        "cmd": "python -m benchmarks.accuracy.fit_fasttext search",
        "deps": [*_splits("validation"), *LIBRARY, *_code("fit_fasttext", "search"), str(packages_file("fasttext"))],
        "params": [{str(SEEDS_FILE): ["search_seed"]}],
        "outs": [str(search_file())],
    }


def _fit_fasttext(split: str) -> Stage:
    facts, predictions = str(facts_file("fasttext")), str(predictions_file("fasttext", split))
    return {
        "cmd": f"python -m benchmarks.accuracy.fit_fasttext {split}",
        "deps": [
            *_splits(split),
            str(search_file()),
            *LIBRARY,
            *_code("fit_fasttext"),
            str(packages_file("fasttext")),
        ],
        "params": [{str(SEEDS_FILE): ["seed"]}],
        "outs": [facts, predictions] if split == "validation" else [predictions],
    }


def _splits(split: str) -> list[str]:
    return [str(split_table("train")), str(split_table(split))]


def _code(*modules: str) -> list[str]:
    return [f"benchmarks/accuracy/{module}.py" for module in (*modules, "results")]
