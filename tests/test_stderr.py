"""Notices of libraries are suppressed, unless the import fails."""

import os

import pytest

from atnet.stderr import quiet_stderr


def test_what_a_block_writes_to_standard_error_is_suppressed(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        os.write(2, b"notices\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_the_output_of_a_failing_block_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with quiet_stderr():
            os.write(2, b"why it failed\n")
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert capfd.readouterr().err == "why it failed\n"
