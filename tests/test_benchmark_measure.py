"""What a benchmark says that a command cost."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.measure import measure


def test_the_memory_of_the_measuring_process_is_not_counted(tmp_path: Path) -> None:
    large = np.ones(40_000_000)
    small = measure([sys.executable, "-IS", "-c", "print('done')"], tmp_path)
    assert large.nbytes > 300e6
    assert 1e6 < small.peak_bytes < 100e6
    assert small.output == "done\n"
    used = measure([sys.executable, "-IS", "-c", "memory = b'x' * 200_000_000"], tmp_path)
    assert used.peak_bytes > 200e6
    assert used.seconds > 0 < used.cpu_seconds


@pytest.mark.parametrize(("code", "status"), [("print('why'); raise SystemExit(3)", "exit code 3"), ("1/0", "code 1")])
def test_a_command_that_fails_is_named_with_its_output(tmp_path: Path, code: str, status: str) -> None:
    with pytest.raises(SystemExit) as error:
        measure([sys.executable, "-IS", "-c", code], tmp_path)
    assert status in str(error.value)
    assert ("why" if "why" in code else "ZeroDivisionError") in str(error.value)
