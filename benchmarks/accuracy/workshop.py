"""The door to the disk: runs the project's stages and keeps what they make, named by all it depends on."""

import functools
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from atnet.storage import write_json
from benchmarks.accuracy.graph import Graph, makers, read_graph, stage_key
from benchmarks.accuracy.running import Command, run
from benchmarks.accuracy.sets import LabelledSet

DONE = "done.json"
"""Written last: a folder without it was cut short."""
KEY_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where stages are run from and where results are kept."""

    code: Path
    """A copy of the project, so that an edit during an hour's run changes nothing."""
    cache: Path
    graph: Graph
    environment: Mapping[str, str]
    """Of every process."""

    @classmethod
    def open(cls, code: Path, cache: Path, environment: Mapping[str, str]) -> "Workshop":
        """Read the graph of the copy."""
        return cls(code, cache, read_graph((code / "dvc.yaml").read_text(encoding="utf-8")), environment)

    def key(self, stage: str, labeled: LabelledSet) -> str:
        """Name the result of a stage on a set."""
        return stage_key(
            self.graph,
            stage,
            labeled.params,
            hash_of=lambda name: file_hash(self.code / name),
            data_hash=file_hash(labeled.path),
        )

    def folder(self, stage: str, labeled: LabelledSet) -> Path:
        """Say where a stage writes for a set."""
        return self.cache / labeled.name / f"{stage}-{self.key(stage, labeled)[:KEY_CHARACTERS]}"

    def ensure(self, stage: str, labeled: LabelledSet) -> Path:
        """Give a stage's output folder, made now if it is not there, the stages before it first.

        Raises:
            Faulty: with what the stage printed, if it fails.
        """
        folder = self.folder(stage, labeled)
        if not (folder / DONE).is_file():
            inputs = self.inputs(stage, labeled)
            shutil.rmtree(folder, ignore_errors=True)
            arguments = self.arguments(stage, labeled, folder, inputs)
            write_params(folder, labeled)
            module = (self.graph[stage].module, *arguments)
            printed = run(Command(f"{labeled.name}: {stage}", module, folder, self.environment))
            write_json(folder / DONE, {"stage": stage, "key": self.key(stage, labeled), "printed": printed.strip()})
        return folder / stage

    def inputs(self, stage: str, labeled: LabelledSet) -> dict[str, Path]:
        """Make what a stage reads; folder's name in params.yaml -> path."""
        return {folder: self.ensure(maker, labeled) for folder, maker in makers(self.graph, stage).items()}

    def arguments(self, stage: str, labeled: LabelledSet, folder: Path, inputs: Mapping[str, Path]) -> list[str]:
        """Give the arguments of a stage's command."""
        declared = self.graph[stage]
        folders = {name: str(path) for name, path in inputs.items()} | {declared.makes: str(folder / stage)}
        return declared.filled(folders, str(labeled.path))


def write_params(folder: Path, labeled: LabelledSet) -> None:
    """Write the set's params.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(labeled.params, sort_keys=False), encoding="utf-8")


@functools.cache
def file_hash(path: Path) -> str:
    """Hash a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
