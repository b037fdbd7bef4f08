"""Speed and memory of a model alone, without a service: `python -m benchmarks.inference` on a finished model folder.

Measures, on one core, the time of one text by length, the time of an explanation, and the memory after a batch of long
texts; and texts/s through `Predictor` on several cores. With `--rival-model` and `--rival-code`, another model folder
is measured with its own inference code in the same run, alternately, so that a busy machine slows both down.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from benchmarks.measure import machine, markdown_table, system_load, versions

TOKENS = (8, 20, 121, 578, 1157, 2048)
EXPLAINED_TOKENS = (8, 20, 100, 121, 578)
SHORT_WORDS = 12
MAX_TOKENS = 2048
LONG_TEXTS, LONG_TOKENS = 64, 1_500
OWN_CODE = Path(__file__).resolve().parents[1] / "src" / "atnet" / "inference.py"
MEMORY = """
import sys
from pathlib import Path
from benchmarks.inference import load, resident_megabytes
predictor = load(Path(sys.argv[1]), Path(sys.argv[2]), threads=1, memory_arena=sys.argv[3] == "True")
ids = [[2 + (row + place) % 1000 for place in range(int(sys.argv[5]))] for row in range(int(sys.argv[4]))]
before = resident_megabytes()
predictor.logits(ids[:1])
predictor.logits([text[:20] for text in ids] * 20)
short = resident_megabytes()
predictor.logits(ids)
print(before, short, resident_megabytes())
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the tables of docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("data/07_model"))
    parser.add_argument("--test", type=Path, default=Path("data/03_splits/test.parquet"))
    parser.add_argument("--rival-model", type=Path, help="another model folder")
    parser.add_argument("--rival-code", type=Path, help="the inference.py of the other model", default=OWN_CODE)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=30)
    arguments = parser.parse_args(argv)
    print(f"{machine()}; {system_load()}; {versions('onnxruntime', 'tokenizers', 'numpy')}\n")
    folders = {"this": (OWN_CODE, arguments.model)}
    if arguments.rival_model:
        folders["rival"] = (arguments.rival_code, arguments.rival_model)
    texts = _texts(arguments.test)
    single = {name: load(code, folder, threads=1) for name, (code, folder) in folders.items()}
    print(_single_texts(single, texts, arguments.repetitions))
    print(_explanations(single, texts, max(3, arguments.repetitions // 5)))
    several = {name: load(code, folder, threads=arguments.threads) for name, (code, folder) in folders.items()}
    print(_throughput(several, texts, arguments.threads, max(3, arguments.repetitions // 3)))
    print(_memory(folders))
    return 0


def _texts(path: Path) -> list[str]:
    # Not at the top of the file: the processes whose memory is measured do not need pandas.
    import pandas as pd

    texts: list[str] = pd.read_parquet(path)["text"].tolist()
    return texts


def load(code: Path, folder: Path, *, threads: int, memory_arena: bool = True) -> Any:
    """Load a model folder with the inference code of a file, without its limit on the length of texts."""
    module = _import(code)
    config = json.loads((folder / "inference_config.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    settings = {"labels": config["labels"], "temperature": float(config["temperature"]), "pad_to": config["pad_to"]}
    model = (folder / "model.onnx").read_bytes()
    if hasattr(module, "create_session"):
        session = module.create_session(model, memory_arena=memory_arena)
        return module.Predictor(tokenizer, session, **settings, threads=threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = options.enable_mem_pattern = memory_arena
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return module.Predictor(tokenizer, session, **settings)


def resident_megabytes() -> float:
    """Return the resident memory of this process in units of 10^6 bytes; Linux only."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / 1e6


def medians(
    functions: Mapping[str, Callable[[], object]], repetitions: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Return the median seconds of each function, called alternately."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repetitions):
        for name, function in functions.items():
            started = clock()
            function()
            seconds[name].append(clock() - started)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def _single_texts(predictors: Mapping[str, Any], texts: Sequence[str], repetitions: int) -> str:
    """Measure encoded texts: CPU time of the one thread, which other processes lengthen least."""
    ids = next(iter(predictors.values())).encode([" ".join(texts)])[0]
    rows = []
    for tokens in TOKENS:
        text = [ids[:tokens]]
        calls = {name: lambda model=model, text=text: model.logits(text) for name, model in predictors.items()}
        seconds = medians(calls, repetitions * max(1, 500 // tokens), time.thread_time)
        rows.append([f"{tokens:,}", *_cells(seconds, 1e3)])
    return _titled("One encoded text, one thread, ms of CPU time", ["tokens", *_header(predictors)], rows)


def _explanations(predictors: Mapping[str, Any], texts: Sequence[str], repetitions: int) -> str:
    predictor = next(iter(predictors.values()))
    words = predictor.decode([[token] for token in predictor.encode([" ".join(texts)])[0]])
    rows = []
    for tokens in EXPLAINED_TOKENS:
        text = " ".join(words[:tokens])
        calls = {name: lambda model=model, text=text: model.explain([text]) for name, model in predictors.items()}
        seconds = medians(calls, repetitions, time.thread_time)
        rows.append([f"{len(predictor.encode([text])[0]):,}", *_cells(seconds, 1e3)])
    return _titled("Explanation of one text, one thread, ms of CPU time", ["tokens", *_header(predictors)], rows)


def _throughput(predictors: Mapping[str, Any], texts: Sequence[str], threads: int, repetitions: int) -> str:
    short = [text for text in texts if len(text.split()) <= SHORT_WORDS]
    rows = []
    for title, chosen in ((f"at most {SHORT_WORDS} words", short), ("all", list(texts))):
        many = (chosen * (8_000 // len(chosen) + 1))[:8_000]
        calls = {name: lambda model=model, many=many: model.predict(many) for name, model in predictors.items()}
        for unit, clock in (("wall time", time.perf_counter), ("CPU time of all threads", time.process_time)):
            seconds = medians(calls, repetitions, clock)
            per_second = {name: len(many) / value for name, value in seconds.items()}
            rows.append([title, unit, *(f"{value:,.0f}" for value in per_second.values()), *_ratio(seconds)])
    title = f"Texts/s through `Predictor.predict`, {threads} threads, tokenization included"
    return _titled(title, ["texts of the test split", "by", *_header(predictors)], rows, left=2)


def _memory(folders: Mapping[str, tuple[Path, Path]]) -> str:
    rows = []
    for name, (code, folder) in folders.items():
        for memory_arena in (True, False):
            arguments = [str(code), str(folder), str(memory_arena), str(LONG_TEXTS), str(LONG_TOKENS)]
            command = [sys.executable, "-c", MEMORY, *arguments]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            rows.append([name, "yes" if memory_arena else "no", *(f"{float(value):.0f}" for value in output.split())])
    after = f"after {LONG_TEXTS} texts of {LONG_TOKENS:,} tokens"
    header = ["model", "memory arena", "loaded", "after 1,280 short texts", after]
    return _titled("Resident memory of the process, MB", header, rows, left=2)


def _import(code: Path) -> ModuleType:
    name = f"inference_{abs(hash(code))}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, code)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def _header(predictors: Mapping[str, Any]) -> list[str]:
    return [*predictors, "ratio"] if len(predictors) > 1 else list(predictors)


def _cells(seconds: Mapping[str, float], factor: float) -> list[str]:
    return [*(f"{factor * value:.3f}" for value in seconds.values()), *_ratio(seconds)]


def _ratio(seconds: Mapping[str, float]) -> list[str]:
    values = list(seconds.values())
    return [f"{values[1] / values[0]:.1f}"] if len(values) > 1 else []


def _titled(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    return f"{title}:\n\n{markdown_table(header, rows, left=left)}\n"


if __name__ == "__main__":
    sys.exit(main())
