"""The device that trains: the first GPU that TensorFlow can use, or the CPU.

A model is exported, checked and calibrated on the CPU in any case.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import tensorflow as tf

from atnet.config import TrainConfig
from atnet.storage import cpu_flags

BFLOAT16_CAPABILITY = (8, 0)
"""Compute capability from which a GPU has bfloat16 units (Ampere)."""
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


@dataclass(frozen=True, slots=True)
class TrainingDevice:
    """The device that trains the network."""

    name: str
    """`CPU`, or the model of the GPU."""
    has_bfloat16: bool
    """Whether it has instructions for bfloat16."""

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU."""
        return self.name != "CPU"

    def precision(self, config: TrainConfig) -> str:
        """Return the Keras dtype policy to compute in."""
        use_bfloat16 = config.precision == "bfloat16" or (config.precision == "auto" and self.has_bfloat16)
        return "mixed_bfloat16" if use_bfloat16 else "float32"

    def arithmetic(self, config: TrainConfig) -> str:
        """Return what, besides the inputs, determines the last bits of the weights: the precision, and the GPU."""
        return f"{self.precision(config)} {self.name}" if self.is_gpu else self.precision(config)


def cpu_device(flags: set[str]) -> TrainingDevice:
    """Describe a CPU with these instruction sets, by their Linux names."""
    return TrainingDevice("CPU", bool(BFLOAT16_FLAGS & flags))


def gpu_device(name: str, compute_capability: tuple[int, int]) -> TrainingDevice:
    """Describe a GPU."""
    return TrainingDevice(name, compute_capability >= BFLOAT16_CAPABILITY)


def training_device(config: TrainConfig) -> TrainingDevice:
    """Choose the device of a training; several workers train on CPUs. Call it before the first tensor is made."""
    if config.worker_count == 1:
        return choose_device()
    tf.config.set_visible_devices([], "GPU")
    return cpu_device(cpu_flags())


def choose_device(*, deterministic: bool = True) -> TrainingDevice:
    """Choose the device and configure TensorFlow for it; call it before the first tensor is made.

    On a GPU: other GPUs stay free, memory is taken when it is needed, so that several trainings share a GPU, the same
    seed gives the same weights, and float32 means float32 (TensorFlow would compute products in TF32).

    Args:
        deterministic: on a GPU, whether the same seed must give the same weights; this costs half of the speed or more.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return cpu_device(cpu_flags())
    tf.config.set_visible_devices(gpus[:1], "GPU")
    tf.config.experimental.set_memory_growth(gpus[0], True)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    details = tf.config.experimental.get_device_details(gpus[0])
    return gpu_device(details.get("device_name", "GPU"), details.get("compute_capability", (0, 0)))


def on_cpu() -> AbstractContextManager[None]:
    """Return a context in which TensorFlow computes on the CPU."""
    context: AbstractContextManager[None] = tf.device("/CPU:0")
    return context
