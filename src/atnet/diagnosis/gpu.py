"""Check that a GPU and the installed build of TensorFlow belong together."""

import ctypes
import importlib.metadata
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

from atnet.diagnosis.finding import Finding

Build = Literal["CPU", "GPU", "both"]

DRIVER = "libcuda.so.1"
"""Installed with NVIDIA's driver. TensorFlow asks it too, so both see the same GPUs."""
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""
MAX_NAME_BYTES = 256
IMPORT_SECONDS = 120
CHOOSE = """
import json, sys
from atnet.environment import prepare_process
prepare_process()
from atnet.network.device import choose_device
device = choose_device()
json.dump([device.is_gpu, "bfloat16" if device.has_bfloat16 else "float32"], sys.stdout)
"""
BOTH_BUILDS = (
    "tensorflow and tensorflow-cpu are both installed, and each has overwritten files of the other. "
    "`rm -rf .venv && make install` (with GPU=1 for a GPU) installs one of them."
)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that NVIDIA's driver lists."""

    name: str
    compute_capability: tuple[int, int]

    def __str__(self) -> str:
        major, minor = self.compute_capability
        return f"{self.name} (compute capability {major}.{minor})"


def check_gpu() -> Finding:
    """Report the GPUs and whether trainings use one."""
    build, gpus = tensorflow_build(), visible_gpus()
    if build == "GPU" and gpus:
        return compare_with_tensorflow(gpus, _device_of_trainings())
    return compare_build(build, gpus)


def tensorflow_build(platform: str = sys.platform) -> Build:
    """Return which build of TensorFlow is installed; outside of Linux the package `tensorflow` is a CPU build."""
    if platform != "linux" or not _is_installed("tensorflow"):
        return "CPU"
    return "both" if _is_installed("tensorflow-cpu") else "GPU"


def visible_gpus(driver: str = DRIVER) -> list[Gpu]:
    """List the GPUs that NVIDIA's driver shows to this process; it respects CUDA_VISIBLE_DEVICES."""
    try:
        cuda = ctypes.CDLL(driver)
    except OSError:
        return []
    count = ctypes.c_int()
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return []
    return [_gpu(cuda, index) for index in range(count.value)]


def compare_build(build: Build, gpus: list[Gpu]) -> Finding:
    """Compare the installed build with the GPUs of this machine; for the GPU build there are none."""
    if build == "both":
        return Finding("GPU", "fault", BOTH_BUILDS)
    if build == "CPU" and not gpus:
        return Finding("GPU", "ok", "none; training uses the CPU")
    if build == "CPU":
        return Finding(
            "GPU",
            "note",
            f"{gpus[0]} is not used, because the CPU build of TensorFlow is installed. "
            "`make install GPU=1` installs the GPU build; docs/scaling.md explains when that pays off.",
        )
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    reason = "" if hidden is None else f" (CUDA_VISIBLE_DEVICES={hidden})"
    return Finding(
        "GPU",
        "note",
        f"the GPU build of TensorFlow is installed, but no GPU is visible{reason}, so training uses the CPU. "
        "See whether `nvidia-smi` lists one; `make install GPU=0` returns to the smaller CPU build.",
    )


def compare_with_tensorflow(gpus: list[Gpu], device: tuple[bool, str] | None) -> Finding:
    """Report whether TensorFlow uses a GPU that the driver lists.

    Args:
        gpus: the GPUs that the driver lists, at least one.
        device: whether TensorFlow uses a GPU, and the precision of `train.precision: auto`; None if it failed.
    """
    if device is not None and device[0]:
        others = f"; {len(gpus) - 1} more not used" if len(gpus) > 1 else ""
        return Finding("GPU", "ok", f"training uses {gpus[0]}, with precision auto in {device[1]}{others}")
    return Finding(
        "GPU",
        "note",
        f"TensorFlow cannot use {gpus[0]}, so training uses the CPU. Its driver may be too old for CUDA 12, or a "
        "library may be missing. This command shows why: "
        "`python -c 'import tensorflow as tf; tf.config.list_physical_devices(\"GPU\")'`",
    )


def _device_of_trainings() -> tuple[bool, str] | None:
    """Ask TensorFlow in a separate process: importing it takes seconds, and its messages would be printed here."""
    try:
        done = subprocess.run([sys.executable, "-c", CHOOSE], capture_output=True, timeout=IMPORT_SECONDS, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    is_gpu, precision = json.loads(done.stdout)
    return is_gpu, precision


def _gpu(cuda: ctypes.CDLL, index: int) -> Gpu:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(MAX_NAME_BYTES)
    cuda.cuDeviceGet(ctypes.byref(device), index)
    cuda.cuDeviceGetName(name, MAX_NAME_BYTES, device)
    major, minor = (_attribute(cuda, device, number) for number in (CAPABILITY_MAJOR, CAPABILITY_MINOR))
    return Gpu(name.value.decode(errors="replace"), (major, minor))


def _attribute(cuda: ctypes.CDLL, device: ctypes.c_int, number: int) -> int:
    value = ctypes.c_int()
    cuda.cuDeviceGetAttribute(ctypes.byref(value), number, device)
    return value.value


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
