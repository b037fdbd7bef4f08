"""Parse YAML with libyaml where the installed PyYAML has it: about ten times as fast as in Python."""

from typing import Any

import yaml

SAFE_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Reads plain values only, never Python objects."""


class UniqueKeyLoader(SAFE_LOADER):
    """Refuse a key that occurs twice in one mapping: PyYAML would use the last one, DVC fails on it."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Return the mapping.

        Raises:
            yaml.constructor.ConstructorError: at the second occurrence of a key.
        """
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    problem = f"the key {key.value!r} occurs twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> Any:
    """Parse the first document of a YAML text; an empty text gives None.

    Raises:
        yaml.YAMLError: if it is no YAML or a key occurs twice; see `yaml_problem`.
    """
    return yaml.load(text, Loader=UniqueKeyLoader)


def yaml_problem(error: yaml.YAMLError) -> str:
    """Describe in one line what is wrong with a YAML text, and where."""
    mark = getattr(error, "problem_mark", None)
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark else problem
