"""Write docs/parameters.md from the typed sections: `python -m atnet.config.parameter_docs > docs/parameters.md`."""

import sys
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from atnet.config import Params

HEADING = """\
# Parameters

Every key of `params.yaml`, with what it may hold. This page is generated from `src/atnet/config`:
`python -m atnet.config.parameter_docs > docs/parameters.md`. `atnet check` refuses a key that does not stand here,
a value of another type and a value out of range. No key has a default in the code: what counts is what
`params.yaml` says.
"""
PLAIN_NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null"}
BOUNDS = {"Ge": "≥", "Gt": ">", "Le": "≤", "Lt": "<"}


def parameter_page() -> str:
    """Write the whole page as Markdown."""
    parts = [HEADING]
    for key, field in _fields(Params):
        section = _inner_section(field.annotation)
        assert section is not None
        parts.append(f"## {key}\n\n{(section.__doc__ or '').strip()}\n\n{_table(key, section)}")
    return "\n".join(parts)


def parameter_keys() -> list[str]:
    """Name every key below the top, dotted: values and the sections they stand in."""
    return [key for key, _ in _keys("", Params) if "." in key]


def _table(prefix: str, section: type[BaseModel]) -> str:
    rows = [f"| `{key}` | {_kind(field)} | {_cell(field)} |" for key, field in _keys(prefix, section)]
    return "\n".join(["| key | may hold | meaning |", "|---|---|---|", *rows, ""])


def _cell(field: FieldInfo) -> str:
    section = _inner_section(field.annotation)
    meaning = field.description or (section.__doc__ if section else None) or ""
    return meaning.strip().replace("|", "\\|")


def _keys(prefix: str, section: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in _fields(section):
        key = f"{prefix}.{name}" if prefix else name
        yield key, field
        if (inner := _inner_section(field.annotation)) is not None:
            yield from _keys(key, inner)


def _fields(section: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in section.model_fields.items():
        yield field.alias or name, field


def _inner_section(annotation: Any) -> type[BaseModel] | None:
    candidates = (annotation, *get_args(annotation))
    return next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _kind(field: FieldInfo) -> str:
    return _type_name(field.annotation) + _bounds(field.metadata)


def _type_name(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(inner[0]) + _bounds(inner[1:])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(one) for one in inner)
    if origin is list:
        return f"list of {_type_name(inner[0])}"
    if origin is dict:
        return f"map of {_type_name(inner[0])} to {_entry_name(inner[1])}"
    return "the keys below" if _inner_section(annotation) else PLAIN_NAMES[annotation]


def _entry_name(annotation: Any) -> str:
    """Name what a map holds: sections by their keys, as they have no row of their own."""
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _entry_name(inner[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_entry_name(one) for one in inner)
    section = _inner_section(annotation)
    return f"`{{ {', '.join(name for name, _ in _fields(section))} }}`" if section else _type_name(annotation)


def _bounds(metadata: Any) -> str:
    found = []
    for one in metadata:
        marks = getattr(one, "metadata", None) or [one]
        for mark in marks:
            for sign, symbol in BOUNDS.items():
                if (value := getattr(mark, sign.lower(), None)) is not None:
                    found.append(f"{symbol} {value}")
            if getattr(mark, "min_length", None):
                found.append("not empty")
    return f" ({', '.join(found)})" if found else ""


if __name__ == "__main__":
    sys.stdout.write(parameter_page())
