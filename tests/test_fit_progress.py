"""The progress of fits: a bar on a terminal, lines elsewhere; the line of an epoch."""

import pytest

from atnet.network.training_state import Epoch
from atnet.stages.fit_progress import FitProgress
from atnet.stages.training_progress import epoch_line


def test_without_a_terminal_slow_fits_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with FitProgress(12, terminal=False, line_seconds=0) as progress:
        progress.fitted("wide branch, C = 1: validation loss 0.4")
        progress.fitted("wide branch, C = 3: validation loss 0.3")
    assert capsys.readouterr().out.splitlines() == [
        "fit 1 of at most 12: wide branch, C = 1: validation loss 0.4",
        "fit 2 of at most 12: wide branch, C = 3: validation loss 0.3",
    ]


def test_quick_fits_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with FitProgress(12, terminal=False) as progress:
        progress.fitted("wide branch, C = 1: validation loss 0.4")
    assert capsys.readouterr().out == ""


def test_on_a_terminal_there_is_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with FitProgress(2, terminal=True) as progress:
        progress.fitted("nb_svm, C = 1: validation accuracy 80.0%")
        progress.fitted("nb_svm, C = 3: validation accuracy 81.0%")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "2/2" in printed.err
    assert "nb_svm, C = 3: validation accuracy 81.0%" in printed.err


def test_the_line_of_an_epoch_compares_losses_of_the_same_quantity() -> None:
    line = epoch_line(Epoch(3, 0.001, 0.41, 0.36, 0.825, 0.45))
    assert line == (
        "epoch  3  network: train loss 0.4100, validation loss 0.4500  model: validation loss 0.3600, accuracy 82.5%"
    )
