"""Training on a GPU; skipped where there is none, or where the CPU build of TensorFlow is installed."""

import json
import subprocess
import sys

import pytest

from atnet.diagnosis.gpu import tensorflow_build, visible_gpus
from tests.projects import ROOT


@pytest.mark.slow
@pytest.mark.skipif(tensorflow_build() != "GPU" or not visible_gpus(), reason="needs a GPU: make install GPU=1")
def test_on_a_gpu_the_same_seed_gives_the_same_bits_and_memory_grows_as_needed() -> None:
    command = [sys.executable, "-m", "tests.gpu_training"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["device"] != "CPU"
    assert len(set(result["hashes"])) == 1
    assert result["peak_bytes"] < 2**30
