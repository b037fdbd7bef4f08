"""How fast this CPU multiplies matrices: `python -m benchmarks.training_floor <params.yaml>`.

Through TensorFlow, as the training does, in float32 and bfloat16: at the shapes of the convolution, forward and for its
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
"""Each product is repeated for so long, and so often at least; the fastest repetition counts."""
TOGETHER = "convolution, forward and both gradients"
LARGEST = f"large product ({LARGE} x {LARGE} x {LARGE})"


def operations_per_token(dimensions: int, filters: int, kernel: int) -> int:
    """Count the floating-point operations of the matrix products for one token, forward and backward.

    A multiplication and an addition are two. The convolution and the attention score; backward costs each twice more,
    once for the values and once for the weights. Layers after pooling work once per text, and all that is done value
    by value is not counted: it is no matrix product.
    """
    forward = 2 * kernel * dimensions * filters + 2 * filters
    return 3 * forward


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("params", type=Path)
    arguments = parser.parse_args()
    from atnet.network.compiled_steps import computation_precision
    from atnet.storage import cpu_flags, load_params

    config = load_params(arguments.params).train
    rows, across = config.batch_size * TOKENS, config.kernel_size * config.embedding_dimensions
    shapes = {
        f"convolution, forward ({rows} x {across} x {config.filters})": (rows, across, config.filters),
        f"… gradient of the values ({rows} x {config.filters} x {across})": (rows, config.filters, across),
        f"… gradient of the weights ({across} x {rows} x {config.filters})": (across, rows, config.filters),
        LARGEST: (LARGE, LARGE, LARGE),
    }
    seconds = {name: {kind: fastest(shape, kind) for kind in ("float32", "bfloat16")} for name, shape in shapes.items()}
    print(
        json.dumps(
            {
                "products": rates(shapes, seconds),
                "compared": [TOGETHER, LARGEST],
                "precision": "bfloat16" if "bfloat16" in computation_precision(config, cpu_flags()) else "float32",
            }
        )
    )


def rates(shapes: dict[str, tuple[int, int, int]], seconds: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Turn seconds into operations per second; the three products of the convolution are joined too."""
    work = {name: 2 * first * inner * last for name, (first, inner, last) in shapes.items()}
    found = {name: {kind: work[name] / one for kind, one in kinds.items()} for name, kinds in seconds.items()}
    parts = [name for name in shapes if name != LARGEST]
    whole = sum(work[name] for name in parts)
    joined = {kind: whole / sum(seconds[name][kind] for name in parts) for kind in seconds[parts[0]]}
    return {**{name: found[name] for name in parts}, TOGETHER: joined, LARGEST: found[LARGEST]}


def fastest(shape: tuple[int, int, int], kind: str) -> float:
    """Give the seconds of the fastest product of (first, inner) and (inner, last)."""
    import tensorflow as tf

    first, inner, last = shape
    left = tf.cast(tf.random.stateless_normal((first, inner), (1, 2)), kind)
    right = tf.cast(tf.random.stateless_normal((inner, last), (3, 4)), kind)
    product: Callable[..., Any] = tf.function(lambda a, b: tf.matmul(a, b)[0, 0], jit_compile=False)
    took: list[float] = []
    while sum(took) < SECONDS or len(took) < REPETITIONS:
        started = time.perf_counter()
        product(left, right).numpy()
        took.append(time.perf_counter() - started)
    return min(took)


if __name__ == "__main__":
    main()
