"""Inference, from text to calibrated probabilities: tokenizer, network, temperature.

Needs only numpy, onnxruntime and tokenizers. The registered model ships a copy of this file, so it must not import
anything else of the project.

Shapes: N texts, B texts of one batch, T tokens of the batch's longest text, C labels, P pooled features.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Encoding, Tokenizer

MODEL_FILES = ("architecture.json", "inference_config.json", "model.onnx", "model.weights.h5", "tokenizer.json")
"""The files whose contents identify the model."""

UNKNOWN_ID = 1
"""Token id of words that are not in the vocabulary; 0 is padding."""

MAX_BATCH_TEXTS = 256
MAX_BATCH_TOKENS = 512
"""Limits of a batch, padding included; a single text may be longer. Small batches stay in the cache of a core: with ten
times as many tokens, each token takes up to twice as long. They also bound the memory, whatever the length of the
texts."""
MAX_ENCODED_CHARACTERS = 1 << 21
"""Characters that are tokenized at once: until its ids are taken, a tokenized text takes about 30 bytes for each."""
DEEP_ONLY, LOGITS, CONTRIBUTIONS = range(3)
"""Values of the input `detail` of a graph with a wide branch: compute the network alone, the wide branch's logits too,
its contribution of each token too."""
MAX_SPANS = 256
"""Parts of a text that an explanation leaves out, one at a time."""


class UnusableModelError(ValueError):
    """The model's files are missing, damaged or inconsistent."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions for N texts over C labels."""

    labels: tuple[str, ...]
    logits: np.ndarray
    """(N, C) float32, before calibration."""
    probabilities: np.ndarray
    """(N, C) float64, calibrated; each row sums to 1."""
    min_confidence: float | None = None
    """Below it the model abstains; None: it answers every text."""

    @property
    def predicted(self) -> list[str]:
        """The most probable label of each text."""
        return [self.labels[index] for index in self.probabilities.argmax(axis=1)]

    @property
    def scores(self) -> np.ndarray:
        """(N,) probability of the predicted label."""
        scores: np.ndarray = self.probabilities.max(axis=1)
        return scores

    @property
    def abstains(self) -> np.ndarray:
        """(N,) whether the model is not confident enough to answer; `predicted` has its best guess all the same."""
        abstains: np.ndarray = self.scores < (0.0 if self.min_confidence is None else self.min_confidence)
        return abstains


@dataclass(frozen=True, slots=True)
class Explanation:
    """One prediction with the attention on each token and its contribution."""

    text: str
    label: str
    score: float
    probabilities: dict[str, float]
    tokens: list[str]
    spans: list[tuple[int, int]]
    """Character positions of each token in the text."""
    attention: list[float]
    """One value per token; they sum to 1."""
    contributions: list[float]
    """Contribution of each token to the lead of the label, in uncalibrated logits; see `Predictor.explain`."""
    base: float
    """The lead of an empty text; base and contributions sum to the lead."""
    abstains: bool = False
    """Whether the model is not confident enough to answer."""


class Predictor:
    """A trained model, loaded for inference."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        session: onnxruntime.InferenceSession,
        *,
        labels: Sequence[str],
        temperature: float,
        pad_to: int | None,
        min_confidence: float | None = None,
        threads: int = 1,
    ) -> None:
        """Take the parts of a loaded model.

        Args:
            pad_to: tokens to which every text is padded; None pads a batch to its longest text.
            min_confidence: smallest probability of the predicted label with which the model answers; None: it always
                does.
            threads: batches computed at the same time.
        """
        self.labels = tuple(labels)
        self.temperature = temperature
        self.min_confidence = min_confidence
        self._tokenizer = tokenizer
        self._session = session
        self._pad_to = pad_to
        self._threads = threads
        self._widths = {output.name: output.shape[-1] for output in session.get_outputs()}

    @classmethod
    def load(cls, folder: Path | str, *, threads: int | None = None, memory_arena: bool = True) -> "Predictor":
        """Load a model folder.

        Args:
            threads: batches computed at the same time; None: as many as this process may use cores.
            memory_arena: keep the memory of the largest batch for the next ones. A service should switch it off: that
                costs microseconds per batch, and one batch of long texts no longer occupies memory for good.

        Raises:
            UnusableModelError: naming the file that is missing or damaged.
        """
        folder = Path(folder)
        name = "inference_config.json"
        try:
            config = json.loads((folder / name).read_text(encoding="utf-8"))
            labels, temperature, pad_to = config["labels"], float(config["temperature"]), config["pad_to"]
            min_confidence = _min_confidence(config)
            name = "tokenizer.json"
            tokenizer = Tokenizer.from_str((folder / name).read_text(encoding="utf-8"))
            name = "model.onnx"
            session = create_session((folder / name).read_bytes(), memory_arena=memory_arena)
        # For a damaged file the libraries raise bare Exceptions.
        except Exception as error:
            raise UnusableModelError(
                f"The model file {folder / name} cannot be used ({_first_line(error)}). "
                "Restore it with `dvc checkout`, or produce it again with `dvc repro`."
            ) from error
        _check_classes(folder, session, labels)
        threads = _available_cores() if threads is None else threads
        return cls(
            tokenizer,
            session,
            labels=labels,
            temperature=temperature,
            pad_to=pad_to,
            min_confidence=min_confidence,
            threads=threads,
        )

    @property
    def has_wide_branch(self) -> bool:
        """Whether the model has a wide branch; one in published mode has none."""
        return "wide" in self._widths

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, at least one; 0 is padding, 1 is the unknown word."""
        return [_ids(encoding) for part in _parts(texts) for encoding in self._encodings(part)]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Convert token ids back to text, as far as the tokenizer preserves it."""
        return self._tokenizer.decode_batch([list(text) for text in ids], skip_special_tokens=False)

    def predict(self, texts: Sequence[str]) -> Predictions:
        """Predict each text; neither padding nor the other texts of a batch change a prediction."""
        return self.predict_ids(self.encode(texts))

    def predict_ids(self, ids: Sequence[Sequence[int]]) -> Predictions:
        """Predict encoded texts, see `predict`."""
        logits = self.logits(ids)
        return Predictions(self.labels, logits, softmax(logits / self.temperature), self.min_confidence)

    def logits(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Compute the logits of encoded texts: (N, C) float32, before calibration."""
        return self._per_text("logits", ids, LOGITS)

    def pooled(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Compute the pooled features of encoded texts, from which the network computes its logits: (N, P) float32."""
        return self._per_text("pooled", ids, DEEP_ONLY)

    def attention(self, ids: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Compute the attention (T,) on the tokens of each text."""
        return self._per_token("attention", ids, DEEP_ONLY)

    def wide(self, ids: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Compute the wide branch's contribution of each token to each logit, (T, C); zeros without a wide branch."""
        if not self.has_wide_branch:
            return [np.zeros((len(text), len(self.labels))) for text in ids]
        return self._per_token("wide", ids, CONTRIBUTIONS)

    def explain(self, texts: Sequence[str]) -> list[Explanation]:
        """Predict each text and compute the attention on each token and its contribution to the label's lead.

        The lead is the label's logit minus the mean of the other logits, weighted by their probabilities. The
        contribution of a token is that of the wide branch, which is exact, plus an estimate of its share in the
        network: the mean of the lead of the token alone and of what the lead loses without it, the first and the last
        term of its Shapley value, scaled so that they sum exactly (docs/benchmarks.md compares other methods). This
        takes 2T + 3 forward passes for a text of T tokens; of more than MAX_SPANS, adjacent tokens are left out
        together and share their contribution.
        """
        return [self._explain(text, encoding) for text, encoding in zip(texts, self._encodings(texts), strict=True)]

    def _explain(self, text: str, encoding: Encoding) -> Explanation:
        ids = _ids(encoding)
        (logits,), (attention,), (wide,) = self.logits([ids]), self.attention([ids]), self.wide([ids])
        probabilities = softmax(logits[None] / self.temperature)[0]
        attended = attention[: len(encoding.ids)]
        best = int(probabilities.argmax())
        lead = lead_weights(logits, best)
        estimates, base = self._deep_contributions(ids, lead)
        contributions = wide @ lead + estimates
        if not encoding.ids:
            contributions, base = contributions[:0], base + contributions.sum()
        return Explanation(
            text=text,
            label=self.labels[best],
            score=float(probabilities[best]),
            probabilities=dict(zip(self.labels, probabilities.tolist(), strict=True)),
            tokens=[text[start:end] for start, end in encoding.offsets],
            spans=list(encoding.offsets),
            attention=(attended / max(attended.sum(), 1e-12)).tolist(),
            contributions=contributions.tolist(),
            base=float(base),
            abstains=self.min_confidence is not None and bool(probabilities[best] < self.min_confidence),
        )

    def _deep_contributions(self, ids: list[int], lead: np.ndarray) -> tuple[np.ndarray, float]:
        """Distribute the network's part of a text's lead among its tokens.

        Args:
            lead: (C,), as `lead_weights` returns it.

        Returns:
            The estimated contributions (T,), and the lead of an empty text.
        """
        spans = min(len(ids), MAX_SPANS)
        sizes = np.full(spans, len(ids) // spans)
        sizes[: len(ids) % spans] += 1
        edges = [0, *sizes.cumsum().tolist()]
        without = [ids[:start] + ids[end:] or [UNKNOWN_ID] for start, end in pairwise(edges)]
        alone = [ids[start:end] for start, end in pairwise(edges)]
        logits = self._per_text(
            "deep" if self.has_wide_branch else "logits", [ids, [UNKNOWN_ID], *without, *alone], DEEP_ONLY
        )
        leads = logits.astype(np.float64) @ lead
        whole, empty, lead_without, lead_alone = leads[0], leads[1], leads[2 : 2 + spans], leads[2 + spans :]
        estimates = ((whole - lead_without) + (lead_alone - empty)) / 2
        return np.repeat(_rescale_to_sum(estimates, whole - empty) / sizes, sizes), float(empty)

    def _per_text(self, output: str, ids: Sequence[Sequence[int]], detail: int) -> np.ndarray:
        """Compute an output that has one row per text: (N, …) float32."""
        rows = np.zeros((len(ids), self._widths[output]), np.float32)
        for batch, values in self._run(output, ids, detail):
            rows[batch] = values
        return rows

    def _per_token(self, output: str, ids: Sequence[Sequence[int]], detail: int) -> list[np.ndarray]:
        """Compute an output that has one row per token: N arrays (T, …) float64."""
        rows = [np.zeros(0)] * len(ids)
        for batch, values in self._run(output, ids, detail):
            for row, padded in zip(batch.tolist(), values, strict=True):
                rows[row] = padded[: len(ids[row])].astype(np.float64)
        return rows

    def _run(self, output: str, ids: Sequence[Sequence[int]], detail: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows of each batch and their values of an output."""
        options = {"detail": np.array(detail)} if self.has_wide_branch else {}

        def compute(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            tokens = _pad([ids[row] for row in batch.tolist()], self._pad_to)
            return batch, self._session.run([output], {"tokens": tokens, **options})[0]

        batches = list(self._batches(np.fromiter(map(len, ids), np.int64, len(ids))))
        if self._threads == 1 or len(batches) < 2:
            yield from map(compute, batches)
            return
        with ThreadPoolExecutor(self._threads) as pool:
            yield from pool.map(compute, batches)

    def _batches(self, lengths: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the rows of each batch: texts of similar length, the shortest first."""
        order = np.argsort(lengths, kind="stable")
        padded = lengths[order] if self._pad_to is None else np.full(len(order), self._pad_to)
        start = 0
        while start < len(order):
            texts = np.arange(1, min(MAX_BATCH_TEXTS, len(order) - start) + 1)
            fitting = int((texts * padded[start : start + len(texts)] <= MAX_BATCH_TOKENS).sum())
            end = start + max(fitting, 1)
            yield order[start:end]
            start = end

    def _encodings(self, texts: Sequence[str]) -> list[Encoding]:
        return self._tokenizer.encode_batch([_replace_surrogates(text) for text in texts], add_special_tokens=False)


def create_session(model: bytes, *, memory_arena: bool = True) -> onnxruntime.InferenceSession:
    """Load an exported network for one core; several batches may be computed at the same time.

    Args:
        memory_arena: whether ONNX Runtime keeps the memory of the largest batch.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = memory_arena
    # It would warn of every model with an optional input.
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which JSON allows and the tokenizer rejects, by U+FFFD."""
    # The readers of data files do the same; this file must not import them.
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _pad(ids: Sequence[Sequence[int]], pad_to: int | None) -> np.ndarray:
    """Build the tokens (B, T) int32 of a batch, zeros after each text."""
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    tokens = np.zeros((len(ids), pad_to or int(lengths.max())), np.int32)
    flat = np.fromiter(chain.from_iterable(ids), np.int32, int(lengths.sum()))
    tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = flat
    return tokens


def _available_cores() -> int:
    # A container or `taskset` may allow fewer cores than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def softmax(logits: np.ndarray) -> np.ndarray:
    """Compute float64 probabilities from logits (N, C)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    probabilities: np.ndarray = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def lead_weights(logits: np.ndarray, best: int) -> np.ndarray:
    """Return weights (C,) whose dot product with logits is the lead of a label over the others.

    1 for the label; -1 shared among the others in proportion to their probabilities.
    """
    others = logits.astype(np.float64)
    # With equal shares, labels that are out of the question would get most of the weight.
    others[best] = -np.inf
    weights: np.ndarray = -softmax(others[None])[0]
    weights[best] = 1.0
    return weights


def _rescale_to_sum(values: np.ndarray, total: float) -> np.ndarray:
    """Scale the values of one sign up and those of the other sign down until they sum to the total."""
    size, rest = np.abs(values).sum(), total - values.sum()
    # Beyond that, signs would flip; it happens for short texts whose words contribute little.
    rescaled: np.ndarray = values + (rest / size * np.abs(values) if abs(rest) < size else rest / len(values))
    return rescaled


def model_hash(folder: Path | str) -> str:
    """Compute the SHA-256 of a model's files, which identifies it.

    Raises:
        UnusableModelError: if a file is missing.
    """
    digest = hashlib.sha256()
    for name in MODEL_FILES:
        try:
            content = (Path(folder) / name).read_bytes()
        except FileNotFoundError:
            raise UnusableModelError(
                f"{Path(folder) / name} is missing. "
                "Run `make pipeline` or `dvc repro`, or restore it with `dvc checkout`."
            ) from None
        digest.update(f"{name}:{hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Divide texts into parts of about MAX_ENCODED_CHARACTERS each."""
    parts = np.fromiter(map(len, texts), np.int64, len(texts)).cumsum() // MAX_ENCODED_CHARACTERS
    starts = [0, *(np.flatnonzero(np.diff(parts)) + 1).tolist(), len(texts)]
    for start, end in pairwise(starts):
        yield texts[start:end]


def _ids(encoding: Encoding) -> list[int]:
    # A text without tokens becomes one unknown token, so that no prediction is computed from padding alone.
    return encoding.ids or [UNKNOWN_ID]


def _min_confidence(config: Mapping[str, Any]) -> float | None:
    # Models without a reject option do not have the key.
    option = config.get("reject_option")
    return None if option is None else float(option["min_confidence"])


def _check_classes(folder: Path, session: onnxruntime.InferenceSession, labels: Sequence[str]) -> None:
    classes = next(output.shape[-1] for output in session.get_outputs() if output.name == "logits")
    if classes != len(labels):
        raise UnusableModelError(
            f"{folder / 'model.onnx'} has {classes} labels, inference_config.json lists {len(labels)}. "
            "They belong to different models: run `dvc checkout`."
        )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
