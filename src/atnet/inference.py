"""The one path from text to probability: tokenizer, network, calibrated answer.

Needs numpy, onnxruntime and tokenizers only. The registered model ships this file as it stands, so nothing
else of the project may be imported here.

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
"""The files whose contents are the model's identity."""

UNKNOWN_ID = 1
"""Token id of what the vocabulary does not hold; 0 is padding."""

BATCH_TEXTS = 256
BATCH_TOKENS = 16_384
BATCH_SQUARES = 2**24
"""A batch holds at most this many tokens, padding included, and pairs of them, which the wide branch compares: memory
does not grow with the texts."""
MOST_SPANS = 256
"""Parts of a text that an explanation leaves out in turn."""


class UnusableModelError(ValueError):
    """The model's files are missing, damaged or disagree with each other."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Answers for N texts over C labels."""

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
    """One answer: where its attention lay, and what each token added to it."""

    text: str
    label: str
    score: float
    probabilities: dict[str, float]
    tokens: list[str]
    spans: list[tuple[int, int]]
    """Character positions of each token in the text."""
    attention: list[float]
    """One weight per token; they sum to 1."""
    contributions: list[float]
    """What each token adds to the label's lead over the others, in uncalibrated logits; see `Predictor.explain`."""
    base: float
    """The lead before any word is read; base and contributions sum to the lead."""


class Predictor:
    """A trained model, ready to answer."""

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
            threads: limit of the cores one answer may use.
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
            settings = json.loads((folder / name).read_text(encoding="utf-8"))
            labels, temperature, pad_to = settings["labels"], float(settings["temperature"]), settings["pad_to"]
            name = "tokenizer.json"
            tokenizer = Tokenizer.from_str((folder / name).read_text(encoding="utf-8"))
            name = "model.onnx"
            session = onnxruntime.InferenceSession(
                (folder / name).read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        # The libraries raise bare Exceptions of their own for a damaged file.
        except Exception as error:
            raise UnusableModelError(
                f"The model file {folder / name} cannot be used ({_first_line(error)}). "
                "Bring it back with `dvc checkout`, or make it again with `dvc repro`."
            ) from error
        classes = next(output.shape[-1] for output in session.get_outputs() if output.name == "logits")
        if classes != len(labels):
            raise UnusableModelError(
                f"{folder / 'model.onnx'} answers for {classes} labels, {folder / 'inference_config.json'} names {len(labels)}. "
                "They belong to different models: run `dvc checkout`."
            )
        return cls(tokenizer, session, labels=labels, temperature=temperature, pad_to=pad_to)

    @property
    def has_wide_branch(self) -> bool:
        """Whether n-grams speak beside the network; a model from before that, or in mode seed, has no such output."""
        return "wide" in {output.name for output in self._session.get_outputs()}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the token ids of each text, at least one; 0 is padding, 1 is unknown."""
        return [_ids(encoding) for encoding in self._encodings(texts)]

    def predict(self, texts: Sequence[str]) -> Predictions:
        """Answer for each text; neither padding nor the other texts change an answer."""
        logits = self.logits(self.encode(texts))
        return Predictions(self.labels, logits, softmax(logits / self.temperature))

    def logits(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Answer for texts that are encoded already: (N, C) float32, before calibration."""
        logits = np.zeros((len(ids), len(self.labels)), np.float32)
        for rows, tokens in self._batches(ids):
            logits[rows] = self._session.run(["logits"], {"tokens": tokens})[0]
        return logits

    def run(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give the logits (B, C) and the attention (B, T) of (B, T) int32 tokens, zeros after each text."""
        logits, attention = self._session.run(["logits", "attention"], {"tokens": tokens})
        return logits, attention

    def wide(self, ids: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Tell what the wide branch says at each token of a text for each label, (T, C); zeros if there is none."""
        return self._parts(ids)[1]

    def attention(self, ids: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Give the attention (T,) on the tokens of each text."""
        weights = [np.zeros(len(one)) for one in ids]
        for rows, tokens in self._batches(ids):
            for row, found in zip(rows, self.run(tokens)[1], strict=True):
                weights[row] += found[: len(weights[row])]
        return weights

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Write token ids as text again, as far as the tokenizer keeps it."""
        return self._tokenizer.decode_batch([list(one) for one in ids], skip_special_tokens=False)

    def explain(self, texts: Sequence[str]) -> list[Explanation]:
        """Answer for each text, show the attention on its tokens and what each of them contributes.

        The lead is the label's logit minus the mean of the others', each of them weighed by how probable it is. A token
        gets what the wide branch says there and an estimate of its share in the rest of the network: the mean of what
        it says alone and of what is lost without it, the first and the last term of its Shapley value, scaled to sum
        exactly (docs/benchmarks.md compares others). This takes 2T + 3 answers for a text of T tokens; of more than
        MOST_SPANS, neighbors are left out together and share what they say.
        """
        return [self._explain(text, encoding) for text, encoding in zip(texts, self._encodings(texts), strict=True)]

    def _explain(self, text: str, encoding: Encoding) -> Explanation:
        ids = _ids(encoding)
        logits, attention = self.run(self._padded([ids]))
        probabilities = softmax(logits / self.temperature)[0]
        weights = attention[0, : len(encoding.ids)].astype(np.float64)
        best = int(probabilities.argmax())
        contributions, base = self._contributions(ids, against_others(logits[0], best))
        if not encoding.ids:
            contributions, base = contributions[:0], base + contributions.sum()
        return Explanation(
            text=text,
            label=self.labels[best],
            score=float(probabilities[best]),
            probabilities=dict(zip(self.labels, probabilities.tolist(), strict=True)),
            tokens=[text[start:end] for start, end in encoding.offsets],
            spans=list(encoding.offsets),
            attention=(weights / max(weights.sum(), 1e-12)).tolist(),
            contributions=contributions.tolist(),
            base=float(base),
        )

    def _contributions(self, ids: list[int], side: np.ndarray) -> tuple[np.ndarray, float]:
        """Share the lead out among a text's tokens; `side` (C,) makes a lead of logits."""
        spans = np.array_split(np.arange(len(ids)), min(len(ids), MOST_SPANS))
        bounds = [(int(span[0]), int(span[-1]) + 1) for span in spans]
        without = [ids[:start] + ids[end:] or [UNKNOWN_ID] for start, end in bounds]
        logits, wide = self._parts([ids, [UNKNOWN_ID], *without, *(ids[start:end] for start, end in bounds)])
        deep = (logits - np.array([says.sum(axis=0) for says in wide])) @ side
        lost, alone = deep[0] - deep[2 : 2 + len(spans)], deep[2 + len(spans) :] - deep[1]
        sizes = np.array([len(span) for span in spans])
        shares = np.repeat(_summing_to(deep[0] - deep[1], (lost + alone) / 2) / sizes, sizes)
        return wide[0] @ side + shares, float(deep[1])

    def _parts(self, ids: Sequence[Sequence[int]]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Give the logits (N, C) and, of each text, the wide branch's say (T, C), both in float64."""
        names = ["logits", "wide"] if self.has_wide_branch else ["logits"]
        logits = np.zeros((len(ids), len(self.labels)))
        wide = [np.zeros((len(one), len(self.labels))) for one in ids]
        for rows, tokens in self._batches(ids):
            found = dict(zip(names, self._session.run(names, {"tokens": tokens}), strict=True))
            logits[rows] = found["logits"]
            for row, says in zip(rows, found.get("wide", ()), strict=False):  # none of models without the branch
                wide[row] += says[: len(wide[row])]
        return logits, wide

    def _encodings(self, texts: Sequence[str]) -> list[Encoding]:
        return self._tokenizer.encode_batch([_whole(text) for text in texts], add_special_tokens=False)

    def _batches(self, ids: Sequence[Sequence[int]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Part the texts, shortest first, into batches of similar length."""
        order = np.array(sorted(range(len(ids)), key=lambda row: len(ids[row])), dtype=np.int64)
        start = 0
        while start < len(order):
            end = start + 1
            while end < min(len(order), start + BATCH_TEXTS) and end < start + self._texts_at_once(ids[order[end]]):
                end += 1
            rows = order[start:end]
            yield rows, self._padded([ids[row] for row in rows])
            start = end

    def _texts_at_once(self, longest: Sequence[int]) -> int:
        tokens = self._pad_to or len(longest)
        return min(BATCH_TOKENS // tokens, BATCH_SQUARES // tokens**2)

    def _padded(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        tokens = np.zeros((len(ids), self._pad_to or max(map(len, ids))), np.int32)
        for row, values in enumerate(ids):
            tokens[row, : len(values)] = values
        return tokens


def _whole(text: str) -> str:
    # A lone half of a surrogate pair is no character; the tokenizer refuses it, and JSON can hold it.
    # The library reads data files the same way; this file has to stand alone.
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn (N, C) logits into float64 probabilities."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    probabilities: np.ndarray = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def against_others(logits: np.ndarray, best: int) -> np.ndarray:
    """Weigh the logits (C,) so that their sum is the lead of the best: 1 for it, -1 shared among the others."""
    rivals = logits.astype(np.float64)
    # An equal share would give most of the weight to labels that never were in question.
    rivals[best] = -np.inf
    side: np.ndarray = -softmax(rivals[None])[0]
    side[best] = 1.0
    return side


def _summing_to(total: float, shares: np.ndarray) -> np.ndarray:
    """Stretch the shares of one sign and shrink those of the other until they sum to the total."""
    size, rest = np.abs(shares).sum(), total - shares.sum()
    # Past that, signs would turn over; it happens to short texts of words that say little.
    stretched: np.ndarray = shares + (rest / size * np.abs(shares) if abs(rest) < size else rest / len(shares))
    return stretched


def model_hash(folder: Path | str) -> str:
    """Name a model by the SHA-256 of its files.

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
    # A text of which the tokenizer keeps nothing is one unknown token: no answer comes from padding alone.
    return encoding.ids or [UNKNOWN_ID]


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
