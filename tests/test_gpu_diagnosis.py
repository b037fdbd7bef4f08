"""The check of GPU and TensorFlow build in `atnet doctor`, with a driver library of the test's own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from atnet.diagnosis.gpu import Gpu, compare_build, compare_with_tensorflow, tensorflow_build, visible_gpus

H100 = Gpu("NVIDIA H100 80GB HBM3", (9, 0))
DRIVER = """
#include <string.h>
int cuInit(unsigned flags) { return STATUS; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int index) { *device = index + 10; return 0; }
int cuDeviceGetName(char *name, int size, int device) { strcpy(name, device == 10 ? "First" : "Second"); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? 8 : 6; return 0; }
"""
"""The five functions of NVIDIA's driver that the check calls, with two GPUs."""


def driver(folder: Path, status: int) -> str:
    """Compile a driver whose cuInit returns `status`."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    (folder / "driver.c").write_text(DRIVER.replace("STATUS", str(status)))
    library = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(folder / "driver.c")], check=True)
    return str(library)


@pytest.mark.skipif(sys.platform != "linux", reason="the driver's name is that of Linux")
def test_the_gpus_of_the_driver_are_listed_with_their_compute_capability(tmp_path: Path) -> None:
    assert visible_gpus(driver(tmp_path, 0)) == [Gpu("First", (8, 6)), Gpu("Second", (8, 6))]


@pytest.mark.skipif(sys.platform != "linux", reason="the driver's name is that of Linux")
def test_a_driver_that_finds_no_device_lists_no_gpu(tmp_path: Path) -> None:
    no_device = 100
    assert visible_gpus(driver(tmp_path, no_device)) == []


def test_a_machine_without_the_driver_has_no_gpu(tmp_path: Path) -> None:
    assert visible_gpus(str(tmp_path / "libcuda.so.1")) == []


def test_the_usual_environment_is_ok() -> None:
    assert compare_build("CPU", []).level == "ok"


def test_a_gpu_that_the_cpu_build_leaves_idle_is_a_note_with_the_command() -> None:
    finding = compare_build("CPU", [H100])
    assert finding.level == "note"
    assert "NVIDIA H100 80GB HBM3 (compute capability 9.0) is not used" in finding.message
    assert "`make install GPU=1`" in finding.message


def test_the_gpu_build_without_a_gpu_says_that_the_cpu_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    finding = compare_build("GPU", [])
    assert finding.level == "note"
    assert "no GPU is visible, so training uses the CPU" in finding.message
    assert "`make install GPU=0`" in finding.message
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert "no GPU is visible (CUDA_VISIBLE_DEVICES=-1)" in compare_build("GPU", []).message


def test_two_builds_at_once_are_a_fault() -> None:
    assert compare_build("both", []).is_fault


def test_a_gpu_that_tensorflow_uses_is_ok_and_one_that_it_cannot_use_is_a_note() -> None:
    used = compare_with_tensorflow([H100, H100], (True, "bfloat16"))
    assert used.level == "ok"
    assert used.message.endswith("with precision auto in bfloat16; 1 more not used")
    for device in ((False, "float32"), None):
        unused = compare_with_tensorflow([H100], device)
        assert unused.level == "note"
        assert "so training uses the CPU" in unused.message


def test_the_package_tensorflow_is_a_cpu_build_outside_of_linux() -> None:
    assert tensorflow_build("darwin") == "CPU"
