"""How fast this CPU multiplies matrices: `python -m benchmarks.training_floor <project folder>`.

Measured with TensorFlow, as in training, in float32 and bfloat16: at the shapes of the convolution, forward and for its
two gradients, and at a large size. The last line printed is JSON, as `benchmarks.training` reads it.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LARGE = 4096
TOKENS = 256
"""Of one text, for the shapes of the convolution."""
SECONDS, REPETITIONS = 1.0, 4
"""Each product is repeated for at least this long and this often; the fastest repetition counts."""
CONVOLUTION = "convolution, forward and both gradients"
LARGEST = f"large product ({LARGE} x {LARGE} x {LARGE})"


def operations_per_token(dimensions: int, filters: int, kernel: int) -> int:
    """Count the floating-point operations of the matrix products for one token, forward and backward.

    A multiplication and an addition count as two. Counted are the convolution and the attention score; backward costs
    twice as much as forward, once for the values and once for the weights. Layers after pooling run once per text, and
    elementwise operations are not matrix products.
    """
    forward = 2 * kernel * dimensions * filters + 2 * filters
    return 3 * forward


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    arguments = parser.parse_args()
    from atnet.files import PARAMS_FILE
    from atnet.network.device import choose_device
    from atnet.storage import load_params

    config = load_params(arguments.project / PARAMS_FILE).train
    rows, width = config.batch_size * TOKENS, config.kernel_size * config.embedding_dimensions
    shapes = {
        f"convolution, forward ({rows} x {width} x {config.filters})": (rows, width, config.filters),
        f"… gradient of the values ({rows} x {config.filters} x {width})": (rows, config.filters, width),
        f"… gradient of the weights ({width} x {rows} x {config.filters})": (width, rows, config.filters),
        LARGEST: (LARGE, LARGE, LARGE),
    }
    seconds = {name: {kind: fastest(shape, kind) for kind in ("float32", "bfloat16")} for name, shape in shapes.items()}
    print(
        json.dumps(
            {
                "products": rates(shapes, seconds),
                "compared": [CONVOLUTION, LARGEST],
                "precision": "bfloat16" if "bfloat16" in choose_device().precision(config) else "float32",
            }
        )
    )


def rates(shapes: dict[str, tuple[int, int, int]], seconds: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Convert seconds to operations per second; add the three products of the convolution together."""
    work = {name: 2 * first * inner * last for name, (first, inner, last) in shapes.items()}
    rate = {name: {kind: work[name] / taken for kind, taken in kinds.items()} for name, kinds in seconds.items()}
    parts = [name for name in shapes if name != LARGEST]
    total = sum(work[name] for name in parts)
    convolution = {kind: total / sum(seconds[name][kind] for name in parts) for kind in seconds[parts[0]]}
    return {**{name: rate[name] for name in parts}, CONVOLUTION: convolution, LARGEST: rate[LARGEST]}


def fastest(shape: tuple[int, int, int], kind: str) -> float:
    """Return the seconds of the fastest product of (first, inner) and (inner, last)."""
    import tensorflow as tf

    first, inner, last = shape
    left = tf.cast(tf.random.stateless_normal((first, inner), (1, 2)), kind)
    right = tf.cast(tf.random.stateless_normal((inner, last), (3, 4)), kind)
    product: Callable[..., Any] = tf.function(lambda a, b: tf.matmul(a, b)[0, 0], jit_compile=False)
    durations: list[float] = []
    while sum(durations) < SECONDS or len(durations) < REPETITIONS:
        started = time.perf_counter()
        product(left, right).numpy()
        durations.append(time.perf_counter() - started)
    return min(durations)


if __name__ == "__main__":
    main()
