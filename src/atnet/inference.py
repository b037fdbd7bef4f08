"""Inference, from text to calibrated probabilities: tokenizer, network, temperature.

Needs only numpy, onnxruntime and tokenizers. The registered model ships a copy of this file, so it must not import
anything else of the project.

Shapes: N texts, B texts of one batch, T tokens of the batch's longest text, C labels.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Encoding, Tokenizer

MODEL_FILES = ("architecture.json", "inference_config.json", "model.onnx", "model.weights.h5", "tokenizer.json")
"""The files whose contents identify the model."""

UNKNOWN_ID = 1
"""Token id of words that are not in the vocabulary; 0 is padding."""

BATCH_TEXTS = 256
BATCH_TOKENS = 16_384
BATCH_SQUARES = 2**24
"""Limits of a batch: texts, tokens with padding, and pairs of tokens, which the wide branch compares. They bound the
memory, whatever the length of the texts."""
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

    @property
    def predicted(self) -> list[str]:
        """The most probable label of each text."""
        return [self.labels[index] for index in self.probabilities.argmax(axis=1)]

    @property
    def scores(self) -> np.ndarray:
        """(N,) probability of the predicted label."""
        scores: np.ndarray = self.probabilities.max(axis=1)
        return scores


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
    ) -> None:
        self.labels = tuple(labels)
        self.temperature = temperature
        self._tokenizer = tokenizer
        self._session = session
        self._pad_to = pad_to

    @classmethod
    def load(cls, folder: Path | str, *, threads: int | None = None, memory_arena: bool = True) -> "Predictor":
        """Load a model folder.

        Args:
            folder: with the model's files.
            threads: limit of the cores that one batch may use.
            memory_arena: keep memory between batches. A process that runs for long turns it off: the arena keeps the
                size of its largest batch for good.

        Raises:
            UnusableModelError: naming the file that is missing or damaged.
        """
        folder = Path(folder)
        options = onnxruntime.SessionOptions()
        if threads is not None:
            options.intra_op_num_threads = threads
        options.enable_cpu_mem_arena = options.enable_mem_pattern = memory_arena
        name = "inference_config.json"
        try:
            config = json.loads((folder / name).read_text(encoding="utf-8"))
            labels, temperature, pad_to = config["labels"], float(config["temperature"]), config["pad_to"]
            name = "tokenizer.json"
            tokenizer = Tokenizer.from_str((folder / name).read_text(encoding="utf-8"))
            name = "model.onnx"
            session = onnxruntime.InferenceSession(
                (folder / name).read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        # For a damaged file the libraries raise bare Exceptions.
        except Exception as error:
            raise UnusableModelError(
                f"The model file {folder / name} cannot be used ({_first_line(error)}). "
                "Restore it with `dvc checkout`, or produce it again with `dvc repro`."
            ) from error
        classes = next(output.shape[-1] for output in session.get_outputs() if output.name == "logits")
        if classes != len(labels):
            raise UnusableModelError(
                f"{folder / 'model.onnx'} has {classes} labels, inference_config.json lists {len(labels)}. "
                "They belong to different models: run `dvc checkout`."
            )
        return cls(tokenizer, session, labels=labels, temperature=temperature, pad_to=pad_to)

    @property
    def has_wide_branch(self) -> bool:
        """Whether the model has a wide branch; one in published mode has none."""
        return "wide" in {output.name for output in self._session.get_outputs()}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, at least one; 0 is padding, 1 is the unknown word."""
        return [_ids(encoding) for encoding in self._encodings(texts)]

    def predict(self, texts: Sequence[str]) -> Predictions:
        """Predict each text; neither padding nor the other texts of a batch change a prediction."""
        logits = self.logits(self.encode(texts))
        return Predictions(self.labels, logits, softmax(logits / self.temperature))

    def logits(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Compute the logits of encoded texts: (N, C) float32, before calibration."""
        logits = np.zeros((len(ids), len(self.labels)), np.float32)
        for rows, tokens in self._batches(ids):
            logits[rows] = self._session.run(["logits"], {"tokens": tokens})[0]
        return logits

    def run(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute logits (B, C) and attention (B, T) of one batch of tokens (B, T) int32, padded with zeros."""
        logits, attention = self._session.run(["logits", "attention"], {"tokens": tokens})
        return logits, attention

    def wide(self, ids: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Compute the wide branch's contribution of each token to each logit, (T, C); zeros without a wide branch."""
        return self._logits_and_wide(ids)[1]

    def attention(self, ids: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Compute the attention (T,) on the tokens of each text."""
        attention = [np.zeros(len(text)) for text in ids]
        for rows, tokens in self._batches(ids):
            for row, padded in zip(rows, self.run(tokens)[1], strict=True):
                attention[row] += padded[: len(attention[row])]
        return attention

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Convert token ids back to text, as far as the tokenizer preserves it."""
        return self._tokenizer.decode_batch([list(text) for text in ids], skip_special_tokens=False)

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
        logits, attention = self.run(self._padded([ids]))
        probabilities = softmax(logits / self.temperature)[0]
        attended = attention[0, : len(encoding.ids)].astype(np.float64)
        best = int(probabilities.argmax())
        contributions, base = self._contributions(ids, lead_weights(logits[0], best))
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
        )

    def _contributions(self, ids: list[int], lead: np.ndarray) -> tuple[np.ndarray, float]:
        """Distribute the lead of a text among its tokens.

        Args:
            lead: (C,), as `lead_weights` returns it.

        Returns:
            The contributions (T,) and the lead of an empty text.
        """
        spans = np.array_split(np.arange(len(ids)), min(len(ids), MAX_SPANS))
        bounds = [(int(span[0]), int(span[-1]) + 1) for span in spans]
        without = [ids[:start] + ids[end:] or [UNKNOWN_ID] for start, end in bounds]
        alone = [ids[start:end] for start, end in bounds]
        logits, wide = self._logits_and_wide([ids, [UNKNOWN_ID], *without, *alone])
        deep = (logits - np.array([contributions.sum(axis=0) for contributions in wide])) @ lead
        whole, empty, lead_without, lead_alone = np.split(deep, np.cumsum([1, 1, len(spans)]))
        estimates = ((whole - lead_without) + (lead_alone - empty)) / 2
        sizes = np.array([len(span) for span in spans])
        shares = np.repeat(_rescale_to_sum(estimates, (whole - empty)[0]) / sizes, sizes)
        return wide[0] @ lead + shares, float(empty[0])

    def _logits_and_wide(self, ids: Sequence[Sequence[int]]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Compute the logits (N, C) and, for each text, the wide branch's contributions (T, C), in float64."""
        names = ["logits", "wide"] if self.has_wide_branch else ["logits"]
        logits = np.zeros((len(ids), len(self.labels)))
        wide = [np.zeros((len(text), len(self.labels))) for text in ids]
        for rows, tokens in self._batches(ids):
            outputs = dict(zip(names, self._session.run(names, {"tokens": tokens}), strict=True))
            logits[rows] = outputs["logits"]
            for row, padded in zip(rows, outputs.get("wide", ()), strict=False):  # empty without a wide branch
                wide[row] += padded[: len(wide[row])]
        return logits, wide

    def _encodings(self, texts: Sequence[str]) -> list[Encoding]:
        return self._tokenizer.encode_batch([_replace_surrogates(text) for text in texts], add_special_tokens=False)

    def _batches(self, ids: Sequence[Sequence[int]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield batches of texts of similar length, the shortest first: their rows and their padded tokens."""
        order = np.array(sorted(range(len(ids)), key=lambda row: len(ids[row])), dtype=np.int64)
        start = 0
        while start < len(order):
            end = start + 1
            while end < min(len(order), start + BATCH_TEXTS) and end < start + self._max_texts(ids[order[end]]):
                end += 1
            rows = order[start:end]
            yield rows, self._padded([ids[row] for row in rows])
            start = end

    def _max_texts(self, longest: Sequence[int]) -> int:
        """Return how many texts a batch may hold whose longest text is this one."""
        tokens = self._pad_to or len(longest)
        return min(BATCH_TOKENS // tokens, BATCH_SQUARES // tokens**2)

    def _padded(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        tokens = np.zeros((len(ids), self._pad_to or max(map(len, ids))), np.int32)
        for row, values in enumerate(ids):
            tokens[row, : len(values)] = values
        return tokens


def _replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which JSON allows and the tokenizer rejects, by U+FFFD."""
    # The readers of data files do the same; this file must not import them.
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


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
            raise UnusableModelError(f"{Path(folder) / name} is missing. Run `dvc checkout` or `dvc repro`.") from None
        digest.update(f"{name}:{hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def _ids(encoding: Encoding) -> list[int]:
    # A text without tokens becomes one unknown token, so that no prediction is computed from padding alone.
    return encoding.ids or [UNKNOWN_ID]


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
