"""Edit values in the text of params.yaml and leave the rest of it as it is.

Not with a YAML library that keeps comments: on a round trip those rewrite the layout of the whole file.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from atnet.config import parse_params
from atnet.config.yaml_text import parse_yaml
from atnet.errors import ConfigurationError

COMMENT = re.compile(r"\s#.*$")


@dataclass(frozen=True, slots=True, order=True)
class _Span:
    """The position of a value in the text, with its replacement."""

    start: int
    end: int
    text: str


def edit_values(text: str, values: Mapping[str, Any], *, source: str = "params.yaml") -> str:
    """Replace values; comments, layout and every other byte stay.

    A value that is written over several lines is replaced by one line, which keeps the comment of the key.

    Args:
        text: of params.yaml.
        values: `section.key` -> new value: a number, a string, a list or a mapping.
        source: name of the file, for messages.

    Raises:
        ConfigurationError: if a value cannot be replaced without changing others, or is out of range.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    spans = sorted((_value_span(text, root, name, value, source) for name, value in values.items()), reverse=True)
    edited = text
    for span in spans:
        edited = edited[: span.start] + span.text + edited[span.end :]
    _check_edit(text, edited, values, source)
    return edited


def unified_diff(before: str, after: str, *, name: str = "params.yaml") -> str:
    """Return the unified diff of two texts; empty if they are equal."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}", n=1
    )
    return "".join(lines)


def _value_span(text: str, root: yaml.Node | None, name: str, value: Any, source: str) -> _Span:
    key, node = _find(root, name)
    if key is None or node is None:
        raise ConfigurationError(f"{source}: {name} is not written as a single value; edit it by hand.")
    if not _is_block(node):
        return _Span(node.start_mark.index, node.end_mark.index, yaml_value(value))
    line_end = text.index("\n", key.end_mark.index)
    comment = COMMENT.search(text[key.end_mark.index : line_end].rstrip("\r"))
    return _Span(
        key.end_mark.index, _block_end(text, node), f": {yaml_value(value)}{comment.group() if comment else ''}"
    )


def _find(root: yaml.Node | None, name: str) -> tuple[yaml.Node | None, yaml.Node | None]:
    key, node = None, root
    for part in name.split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        key, node = next(((key, value) for key, value in pairs if key.value == part), (None, None))
    return key, node


def _is_block(node: yaml.Node) -> bool:
    """Return whether a value is written over several lines by indentation."""
    if isinstance(node, yaml.CollectionNode):
        return not node.flow_style
    return isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")


def _block_end(text: str, node: yaml.Node) -> int:
    """Return where the last line of a block ends, without its line break; comments below it are not part of it."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    end: int = node.end_mark.index
    if _is_block(node):
        return len(text[:end].rstrip())
    line_end = text.find("\n", end)
    return len(text) if line_end < 0 else line_end - (text[line_end - 1] == "\r")


def yaml_value(value: Any) -> str:
    """Write a value in one line so that YAML reads it back: 1e-05 without a decimal point would become a string."""
    written: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=100_000, sort_keys=False)
    return written.removesuffix("\n").removesuffix("\n...")


def _check_edit(before: str, after: str, values: Mapping[str, Any], source: str) -> None:
    # With an anchor or a merged section, the edit would change other keys as well.
    expected: dict[str, Any] = parse_yaml(before)
    for name, value in values.items():
        *sections, key = name.split(".")
        mapping = expected
        for section in sections:
            mapping = mapping[section]
        mapping[key] = value
    if _load(after) != expected:
        raise ConfigurationError(
            f"{source} shares values between keys (YAML anchors), so single values cannot be replaced. "
            "Edit them by hand: " + ", ".join(f"{name}: {yaml_value(value)}" for name, value in values.items())
        )
    parse_params(after, source=source)


def _load(text: str) -> Any:
    try:
        return parse_yaml(text)
    except yaml.YAMLError:
        # An anchor was replaced, so its aliases are undefined.
        return None
