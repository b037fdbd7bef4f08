"""Greetings of libraries are held back; what goes before a fault is not."""

import os

import pytest

from atnet.stderr import quiet_stderr


def test_what_a_block_writes_to_standard_error_is_held_back(capfd):
    with quiet_stderr():
        os.write(2, b"greetings\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_failing_block_shows_what_it_wrote(capfd):
    def fail():
        with quiet_stderr():
            os.write(2, b"why it failed\n")
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert capfd.readouterr().err == "why it failed\n"
