"""Edit values in the text of params.yaml and leave the rest of it as it is."""

import difflib
from collections.abc import Mapping
from typing import Any

import yaml

from atnet.config import parse_params
from atnet.config.tune import ParamValue
from atnet.errors import ConfigurationError


def edit_values(text: str, values: Mapping[str, ParamValue], *, source: str = "params.yaml") -> str:
    """Replace values; comments, layout and every other byte stay.

    Args:
        text: of params.yaml.
        values: `section.key` -> new value.
        source: name of the file, for messages.

    Raises:
        ConfigurationError: if a value cannot be replaced without changing others, or is out of range.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    spans = sorted(((_value_span(root, name, source), value) for name, value in values.items()), reverse=True)
    edited = text
    for (start, end), value in spans:
        edited = edited[:start] + _yaml_value(value) + edited[end:]
    _check_edit(text, edited, values, source)
    return edited


def unified_diff(before: str, after: str, *, name: str = "params.yaml") -> str:
    """Return the unified diff of two texts; empty if they are equal."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}", n=1
    )
    return "".join(lines)


def _value_span(root: yaml.Node | None, name: str, source: str) -> tuple[int, int]:
    node = root
    for part in name.split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for key, value in pairs if key.value == part), None)
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigurationError(f"{source}: {name} is not written as a single value; edit it by hand.")
    return node.start_mark.index, node.end_mark.index


def _yaml_value(value: ParamValue) -> str:
    """Write a value so that YAML reads it back: 1e-05 without a decimal point would become a string."""
    written: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000)
    return written.removesuffix("\n").removesuffix("\n...")


def _check_edit(before: str, after: str, values: Mapping[str, ParamValue], source: str) -> None:
    # With an anchor or a merged section, the edit would change other keys as well.
    expected: dict[str, Any] = yaml.safe_load(before)
    for name, value in values.items():
        *sections, key = name.split(".")
        mapping = expected
        for section in sections:
            mapping = mapping[section]
        mapping[key] = value
    if _load(after) != expected:
        raise ConfigurationError(
            f"{source} shares values between keys (YAML anchors), so single values cannot be replaced. "
            "Edit them by hand: " + ", ".join(f"{name}: {_yaml_value(value)}" for name, value in values.items())
        )
    parse_params(after, source=source)


def _load(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        # An anchor was replaced, so its aliases are undefined.
        return None
