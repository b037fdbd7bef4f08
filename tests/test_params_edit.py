"""Edits of params.yaml: only the values change."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from atnet.config.tune import ParamValue
from atnet.errors import ConfigurationError
from atnet.params_edit import edit_values, unified_diff


@pytest.fixture(scope="module")
def text(project: Path) -> str:
    return (project / "params.yaml").read_text(encoding="utf-8")


def changed_lines(before: str, after: str) -> list[str]:
    return [line for line in unified_diff(before, after).splitlines()[2:] if line.startswith(("+", "-"))]


def train_values(settings: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
    return {name.removeprefix("train."): value for name, value in settings.items()}


def test_only_the_values_change(text: str) -> None:
    values = yaml.safe_load(text)
    settings: dict[str, ParamValue] = {
        "train.dropout": 0.123,
        "train.wide": not values["train"]["wide"],
        "train.filters": 77,
    }
    after = edit_values(text, settings)
    assert len(changed_lines(text, after)) == 6
    for before, now in zip(text.splitlines(), after.splitlines(), strict=True):
        assert before.partition("#")[2] == now.partition("#")[2]
    assert yaml.safe_load(after) == {**values, "train": {**values["train"], **train_values(settings)}}
    assert edit_values(text, {}) == text


def test_a_small_number_is_written_so_that_yaml_reads_a_number(text: str) -> None:
    after = edit_values(text, {"train.learning_rate": 0.00001, "train.soft_target_slope": None})
    assert yaml.safe_load(after)["train"]["learning_rate"] == 1e-5
    assert "soft_target_slope: null" in after


def test_windows_line_ends_stay(text: str) -> None:
    after = edit_values(text.replace("\n", "\r\n"), {"train.dropout": 0.123})
    assert after.count("\r\n") == after.count("\n") == text.count("\n")


def test_a_value_shared_through_an_anchor_is_not_changed_in_two_places(text: str) -> None:
    shared = re.sub(r"(?m)^  filters: (\d+)", r"  filters: &shared \1", text)
    shared = re.sub(r"(?m)^  kernel_size: \d+", "  kernel_size: *shared", shared)
    for name in ("train.kernel_size", "train.filters"):
        with pytest.raises(ConfigurationError, match="anchors"):
            edit_values(shared, {name: 3})


def test_a_value_out_of_range_is_never_written(text: str) -> None:
    with pytest.raises(ConfigurationError, match="less than 1"):
        edit_values(text, {"train.dropout": 1.5})
