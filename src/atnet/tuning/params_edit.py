"""Write settings into the text of params.yaml, and nothing else of it."""

import difflib
from collections.abc import Mapping
from typing import Any

import yaml

from atnet.config import parse_params
from atnet.config.tune import Value
from atnet.errors import ConfigurationError


def applied(text: str, settings: Mapping[str, Value], *, source: str = "params.yaml") -> str:
    """Put each value in the place of the present one: comments, layout and every other byte stay.

    Args:
        text: of params.yaml.
        settings: `section.key` -> new value.
        source: its name, for messages.

    Raises:
        ConfigurationError: if a value does not stand where it can be replaced alone.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    places = sorted(((_place(root, name, source), value) for name, value in settings.items()), reverse=True)
    changed = text
    for (start, end), value in places:
        changed = changed[:start] + _written(value) + changed[end:]
    _check(text, changed, settings, source)
    return changed


def difference(before: str, after: str, *, name: str = "params.yaml") -> str:
    """Give the unified diff of two texts; empty where they are equal."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}", n=1
    )
    return "".join(lines)


def _place(root: yaml.Node | None, name: str, source: str) -> tuple[int, int]:
    node = root
    for part in name.split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for key, value in pairs if key.value == part), None)
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigurationError(f"{source}: {name} does not stand there as one value; write it by hand.")
    return node.start_mark.index, node.end_mark.index


def _written(value: Value) -> str:
    """Write a value as YAML reads it back: 1e-05 without a point would be a text."""
    written: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000)
    return written.removesuffix("\n").removesuffix("\n...")


def _check(before: str, after: str, settings: Mapping[str, Value], source: str) -> None:
    # An anchor, or a merged section, would change other keys with this one.
    wanted: dict[str, Any] = yaml.safe_load(before)
    for name, value in settings.items():
        *sections, key = name.split(".")
        place = wanted
        for section in sections:
            place = place[section]
        place[key] = value
    if _read(after) != wanted:
        raise ConfigurationError(
            f"{source} shares values between keys (YAML anchors), so the settings cannot be written alone. "
            "Write them by hand: " + ", ".join(f"{name}: {_written(value)}" for name, value in settings.items())
        )
    parse_params(after, source=source)


def _read(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        # An anchor was replaced, and its aliases lead nowhere.
        return None
