"""The project's stages as dvc.yaml declares them, and a key that names a stage's result by all it depends on.

So a result is used again only while the stage's code, its parameters and everything before it are the same.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

FOLDER = re.compile(r"\$\{folders\.(\w+)\}")
DATA_FILE = "${data.path}"
LEFT_OUT = "path"
"""Key of the section `data` that says where the file is; the key holds the file's contents instead."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of dvc.yaml."""

    module: str
    arguments: tuple[str, ...]
    """With ${...} still in them."""
    code: tuple[str, ...]
    inputs: tuple[str, ...]
    """Names under `folders` that it reads, or the data file."""
    params: tuple[str, ...]
    makes: str
    """Name under `folders` that it writes."""

    def filled(self, folders: Mapping[str, str], data_file: str) -> list[str]:
        """Give the arguments of its command."""
        return [
            FOLDER.sub(lambda found: folders[found[1]], part.replace(DATA_FILE, data_file)) for part in self.arguments
        ]


Graph = Mapping[str, Stage]


def read_graph(text: str) -> Graph:
    """Read dvc.yaml."""
    return {name: _stage(declared) for name, declared in yaml.safe_load(text)["stages"].items()}


def makers(graph: Graph, stage: str) -> dict[str, str]:
    """Name the stages whose folders a stage reads: folder -> stage."""
    by_folder = {found.makes: name for name, found in graph.items()}
    return {folder: by_folder[folder] for folder in graph[stage].inputs if folder != DATA_FILE}


def stage_key(
    graph: Graph, stage: str, params: Mapping[str, Any], *, hash_of: Callable[[str], str], data_hash: str
) -> str:
    """Name a stage's result.

    Args:
        hash_of: from a source file's path in the project to a hash of its contents.
        data_hash: of the data file's contents.
    """
    declared = graph[stage]
    content = {
        "command": [declared.module, *declared.arguments],
        "params": {name: _value(params, name) for name in declared.params},
        "code": {path: hash_of(path) for path in declared.code},
        "inputs": {
            folder: stage_key(graph, maker, params, hash_of=hash_of, data_hash=data_hash)
            for folder, maker in makers(graph, stage).items()
        },
        "data": data_hash if DATA_FILE in declared.inputs else None,
    }
    return key_of(content)


def key_of(content: Any) -> str:
    """Hash values that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _stage(declared: Mapping[str, Any]) -> Stage:
    _, _, module, *arguments = shlex.split(declared["cmd"])
    needed = [str(name) for name in declared["deps"]]
    folders = [found[1] for found in map(FOLDER.match, needed) if found]
    outputs = [*declared.get("outs", ()), *declared.get("metrics", ())]
    (makes,) = {found[1] for found in (FOLDER.match(str(name)) for name in outputs) if found}
    return Stage(
        module=module,
        arguments=tuple(arguments),
        code=tuple(name for name in needed if name.startswith("src/")),
        inputs=tuple(dict.fromkeys([*folders, *([DATA_FILE] if DATA_FILE in needed else [])])),
        params=tuple(declared.get("params", ())),
        makes=makes,
    )


def _value(params: Mapping[str, Any], name: str) -> Any:
    value: Any = params
    for part in name.split("."):
        value = value[part]
    return {key: inner for key, inner in value.items() if key != LEFT_OUT} if name == "data" else value
