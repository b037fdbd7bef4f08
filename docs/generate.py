"""Write the parts of the documentation that are derived from dvc.yaml: `make docs`.

The stage table in README.md, and the pictures docs/stages.svg, docs/aliases.svg and docs/model-life.svg. The pictures
follow the reader's color scheme.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from atnet.config.yaml_text import parse_yaml

ROOT = Path(__file__).resolve().parents[1]
DVC_FILES = ("data/dvc.yaml", "dvc.yaml")
BEGIN, END = "<!-- stages -->", "<!-- /stages -->"
BOX_WIDTH, BOX_HEIGHT, COLUMN, ROW, MARGIN = 86, 42, 104, 74, 16
STYLE = """
    text { font: 12px system-ui, sans-serif; fill: #1c2733; text-anchor: middle }
    .small { font-size: 10px; fill: #57677a }
    .card { fill: #ffffff }
    .box { fill: #e8f0fa; stroke: #2563a8 }
    .strong { fill: #cfe8d5; stroke: #2c7a43 }
    .end { fill: #f3f4f6; stroke: #7a8794 }
    .command { fill: none; stroke: #7a8794; stroke-dasharray: 4 3 }
    .edge { fill: none; stroke: #57677a; stroke-width: 1.4; marker-end: url(#arrow) }
    .head { fill: #57677a }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .small { fill: #9fb0c0 } .card { fill: #0f1620 }
      .box { fill: #16304d; stroke: #6aa5e3 } .strong { fill: #17402a; stroke: #5fbf7f }
      .end { fill: #222c37; stroke: #8b98a5 } .command { stroke: #8b98a5 }
      .edge { stroke: #9fb0c0 } .head { fill: #9fb0c0 }
    }"""

Stages = Mapping[str, Mapping[str, Any]]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a picture, at its center."""

    name: str
    note: str
    at: Point
    style: str = "box"
    width: int = BOX_WIDTH


def main() -> None:
    """Write all derived parts."""
    stages = read_stages()
    (ROOT / "docs" / "stages.svg").write_text(stage_picture(stages), encoding="utf-8")
    (ROOT / "docs" / "aliases.svg").write_text(alias_picture(), encoding="utf-8")
    (ROOT / "docs" / "model-life.svg").write_text(life_picture(), encoding="utf-8")
    readme = ROOT / "README.md"
    readme.write_text(with_stage_table(readme.read_text(encoding="utf-8"), stages), encoding="utf-8")


def read_stages() -> dict[str, Any]:
    """Return the stages in the order of data/dvc.yaml and dvc.yaml."""
    stages: dict[str, Any] = {}
    for name in DVC_FILES:
        stages |= parse_yaml((ROOT / name).read_text(encoding="utf-8"))["stages"]
    return stages


def with_stage_table(page: str, stages: Stages) -> str:
    """Return a page with the stage table between its markers."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    rows = [f"| `{name}` | {stage['desc']} | `{_folder(stage)}` |" for name, stage in stages.items()]
    table = "\n".join(["| stage | does | writes |", "|---|---|---|", *rows])
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def stage_picture(stages: Stages) -> str:
    """Draw the stages from left to right, between the commands that come before and after them."""
    inputs = _direct_inputs(stages)
    column = _columns(inputs)
    used: dict[int, int] = {}
    boxes = []
    for name, stage in stages.items():
        row = used.get(column[name], 0)
        used[column[name]] = row + 1
        folder = _folder(stage).removeprefix("data/")
        boxes.append(Box(name, folder, _place(column[name] + 1, row)))
    last = max(column.values()) + 2
    commands = [
        Box("refresh", "new data", _place(0, 0), "command"),
        Box("release", "gate, registry", _place(last, 0), "command"),
    ]
    edges = [(source, name) for name, sources in inputs.items() for source in sources]
    first, final = next(iter(stages)), next(reversed(stages))
    height = MARGIN * 2 + BOX_HEIGHT + ROW * (max(used.values()) - 1)
    return _picture(
        "The stages of the pipeline and the files each writes",
        (_place(last, 0)[0] + BOX_WIDTH / 2 + MARGIN, height),
        [*commands, *boxes],
        [_line(boxes_by_name([*commands, *boxes]), *edge) for edge in [("refresh", first), *edges, (final, "release")]],
    )


def alias_picture() -> str:
    """Draw how a version moves between the aliases."""
    boxes = [
        Box("published run", "a model in MLflow", (80, 80), "command", 120),
        Box("challenger", "judged by the gate", (280, 80), "box", 124),
        Box("champion", "live", (560, 80), "strong", 124),
        Box("previous", "kept for a rollback", (786, 80), "box", 124),
        Box("waiting for approval", "still the challenger", (420, 160), "box", 150),
        Box("rejected", "no alias", (258, 240), "end", 124),
        Box("rolled back", "no alias", (600, 240), "end", 124),
    ]
    labels: list[tuple[str, Point]] = [
        ("atnet release", (179, 72)),
        ("gate passed", (420, 72)),
        ("next promotion", (672, 72)),
        ("gate failed", (216, 155)),
        ("manual", (330, 130)),
        ("atnet approve", (562, 135)),
        ("atnet reject, or nobody decided in time", (421, 256)),
        ("atnet rollback", (646, 175)),
        ("atnet rollback", (672, 22)),
    ]
    lines = [
        "M140,80 H214",
        "M342,80 H494",
        "M622,80 H720",
        "M250,101 V215",
        "M304,101 V160 H341",
        "M495,160 H522 V105",
        "M420,181 V240 H324",
        "M604,101 V215",
        "M786,59 C786,20 570,20 560,55",
    ]
    return _picture("How a model version moves between the registry's aliases", (864, 278), boxes, lines, labels)


def life_picture() -> str:
    """Draw the loop that a model goes through."""
    boxes = [
        Box("labeled data", "data.path", (86, 60), "box", 124),
        Box("training", "make train", (290, 60), "box", 124),
        Box("gate", "atnet release", (494, 60), "box", 124),
        Box("champion", "alias in MLflow", (698, 60), "strong", 124),
        Box("service", "make serve", (698, 190), "strong", 124),
        Box("monitoring", "atnet monitor", (494, 190), "box", 124),
        Box("review", "atnet review", (290, 190), "box", 124),
    ]
    labels: list[tuple[str, Point]] = [
        ("new rows", (186, 52)),
        ("a model", (390, 52)),
        ("passed", (594, 52)),
        ("polled", (724, 128)),
        ("predictions", (596, 182)),
        ("drift", (392, 182)),
        ("corrected labels", (166, 182)),
        ("alarm with enough new labels", (392, 116)),
    ]
    lines = [
        "M148,60 H224",
        "M352,60 H428",
        "M556,60 H632",
        "M698,81 V165",
        "M636,190 H560",
        "M432,190 H356",
        "M228,190 H86 V85",
        "M494,169 V124 H290 V85",
    ]
    return _picture("The life of a model: from labeled data to labeled data", (784, 230), boxes, lines, labels)


def boxes_by_name(boxes: Iterable[Box]) -> dict[str, Box]:
    """Return the boxes by their names."""
    return {box.name: box for box in boxes}


def _direct_inputs(stages: Stages) -> dict[str, list[str]]:
    """Return the stages whose outputs a stage reads, without those it depends on through another one."""
    owner = {str(path): name for name, stage in stages.items() for path in _outputs(stage)}
    defaults = [path for path in owner if path.startswith("data/01_raw/")]
    read: dict[str, set[str]] = {}
    for name, stage in stages.items():
        paths = [*stage["deps"], *(defaults if "${data.path}" in stage["deps"] else [])]
        read[name] = {owner[path] for path in paths if path in owner}
    return {
        name: [source for source in stages if source in sources and not _reaches(read, sources - {source}, source)]
        for name, sources in read.items()
    }


def _reaches(read: Mapping[str, set[str]], start: set[str], goal: str) -> bool:
    return any(goal in read[name] or _reaches(read, read[name], goal) for name in start)


def _columns(inputs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    columns: dict[str, int] = {}
    for name, sources in inputs.items():
        columns[name] = 1 + max((columns[source] for source in sources), default=-1)
    return columns


def _outputs(stage: Mapping[str, Any]) -> list[str]:
    entries = [*stage.get("outs", []), *stage.get("metrics", [])]
    # An output with options is a mapping from its path to them.
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def _folder(stage: Mapping[str, Any]) -> str:
    return str(Path(*Path(_outputs(stage)[0]).parts[:2]))


def _place(column: int, row: int) -> Point:
    return MARGIN + BOX_WIDTH / 2 + COLUMN * column, MARGIN + BOX_HEIGHT / 2 + ROW * row


def _line(boxes: Mapping[str, Box], source: str, target: str) -> str:
    (x, y), (to_x, to_y) = boxes[source].at, boxes[target].at
    start, end = x + BOX_WIDTH / 2, to_x - BOX_WIDTH / 2 - 4
    if y == to_y:
        return f"M{start:g},{y:g} H{end:g}"
    # Around the corner in the gap between two columns: down just after the source, up just before the target.
    bend = (start + 9) if to_y > y else (end - 6)
    return f"M{start:g},{y:g} H{bend:g} V{to_y:g} H{end:g}"


def _picture(
    title: str,
    size: tuple[float, float],
    boxes: Sequence[Box],
    lines: Sequence[str],
    labels: Sequence[tuple[str, Point]] = (),
) -> str:
    width, height = (round(length) for length in size)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img">',
        f"  <title>{escape(title)}</title>",
        f"  <style>{STYLE}\n  </style>",
        '  <defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path class="head" d="M0,0 L8,4 L0,8 z"/></marker></defs>',
        f'  <rect class="card" width="{width}" height="{height}" rx="8"/>',
        *(f'  <path class="edge" d="{line}"/>' for line in lines),
        *(text for box in boxes for text in _box(box)),
        *(f'  <text class="small" x="{x:g}" y="{y:g}">{escape(text)}</text>' for text, (x, y) in labels),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _box(box: Box) -> list[str]:
    x, y = box.at
    left, top = x - box.width / 2, y - BOX_HEIGHT / 2
    rect = f'  <rect class="{box.style}" x="{left:g}" y="{top:g}" width="{box.width}" height="{BOX_HEIGHT}" rx="6"/>'
    return [
        rect,
        f'  <text x="{x:g}" y="{y - 2:g}">{escape(box.name)}</text>',
        f'  <text class="small" x="{x:g}" y="{y + 13:g}">{escape(box.note)}</text>',
    ]


if __name__ == "__main__":
    main()
