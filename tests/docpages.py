"""What the documentation quotes: commands, messages, parameters and links, read from the Markdown pages."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GENERATED = ROOT / "docs" / "parameters.md"
PAGES = sorted(
    path
    for path in [ROOT / "README.md", ROOT / "data" / "README.md", *(ROOT / "docs").rglob("*.md")]
    if path != GENERATED
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
ELISION = "…"
GAP = "\0"
"""Any text, in a template or in a quoted message."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A piece of a page."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.text}"


def commands(program: str) -> Iterator[Quote]:
    """Return every command line of a program, in code blocks and in inline code."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            if match[1] in ("console", "sh", "bash"):
                for offset, line in enumerate(match[2].splitlines()):
                    for part in re.split(r"&&|;", _without_prompt(line)):
                        if part.strip().startswith(f"{program} "):
                            yield _quote(path, text, match.start(2), part.strip(), offset)
        for match in _inline(text):
            if match[1].startswith(f"{program} "):
                yield _quote(path, text, match.start(), match[1])


def words(command: str) -> list[str]:
    """Split a command line, without comment and without what stands for an argument."""
    parts = shlex.split(command, comments=True)
    return [part for part in parts if part not in (ELISION, "...") and not part.startswith("<")]


def messages() -> Iterator[Quote]:
    """Return the messages quoted in tables: inline code in a column whose heading begins with "message"."""
    for path in PAGES:
        column = None
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.startswith("|"):
                column = None
                continue
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if column is None:
                column = next((place for place, cell in enumerate(cells) if cell.startswith("message")), -1)
            elif column >= 0 and not cells[column].startswith("---"):
                for match in INLINE.finditer(cells[column]):
                    yield Quote(str(path.relative_to(ROOT)), number, match[1].replace("\\|", "|"))


def inline_code() -> Iterator[Quote]:
    """Return every piece of inline code."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for match in _inline(text):
            yield _quote(path, text, match.start(), match[1])


def links() -> Iterator[tuple[Path, Quote]]:
    """Return every link with the page it is on."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for match in LINK.finditer(_blank_fences(text)):
            yield path, _quote(path, text, match.start(), match[1])


def prose_lines() -> Iterator[Quote]:
    """Return the lines that are not in tables, code blocks or generated parts."""
    for path in PAGES:
        for number, line in enumerate(_blank_fences(path.read_text(encoding="utf-8")).splitlines(), start=1):
            if not line.startswith(("|", "![")):
                yield Quote(str(path.relative_to(ROOT)), number, line)


@cache
def templates() -> tuple[str, ...]:
    """Return every string of the source with GAP for what is filled in, implicit concatenations joined."""
    strings: set[str] = set()
    for folder in ("src", "pipelines"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
            parts = {id(part) for node in tree if isinstance(node, ast.JoinedStr) for part in node.values}
            for node in tree:
                text = _template(node) if id(node) not in parts else ""
                if text and " " in text:
                    strings.add(" ".join(text.replace("`", "").split(" ")))
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    strings |= {re.sub(r"\$\(.*?\)+|\$\$\(.*?\)+", GAP, line) for line in re.findall(r'echo "(.*?)"', text)}
    return tuple(sorted(strings))


def is_quoted_from(message: str, template: str) -> bool:
    """Return whether a message with elisions can be a part of a filled-in template.

    At least 60 % of the message's characters must be literal characters of the template.
    """
    text = message.replace("`", "").replace(ELISION, GAP)
    literal = len(text.replace(GAP, "").replace(" ", ""))
    return _matched(GAP + text + GAP, template) >= 0.6 * literal > 0


def closest_template(message: str) -> str:
    """Return the template that shares most words with a message."""
    wanted = set(message.replace(ELISION, " ").split())
    best = max(templates(), key=lambda template: len(wanted & set(template.split())) / (8 + len(template.split())))
    return best.replace(GAP, ELISION)


def _matched(text: str, template: str) -> float:
    """Count the literal characters that agree in the best alignment; -1 if there is none. GAP matches any text."""
    worst = float("-inf")
    row = [worst] * (len(template) + 1)
    row[0] = 0.0
    for column in range(1, len(template) + 1):
        row[column] = row[column - 1] if template[column - 1] == GAP else worst
    for character in text:
        following = [row[0] if character == GAP else worst]
        for column, other in enumerate(template, start=1):
            options = [worst]
            if character == GAP:
                options += [row[column], following[column - 1]]
            if other == GAP:
                options += [following[column - 1], row[column]]
            if character == other != GAP:
                options.append(row[column - 1] + (character != " "))
            following.append(max(options))
        row = following
    return row[-1] if row[-1] >= 0 else -1.0


def _template(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        # {name} is filled in later, by str.format.
        return re.sub(r"\{\w+\}", GAP, node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(part) if isinstance(part, ast.Constant) else GAP for part in node.values)
    return ""


def _inline(text: str) -> Iterator[re.Match[str]]:
    # Inline code may be wrapped: a line break in it is a space.
    joined = _blank_fences(text)
    yield from INLINE.finditer(joined)


def _blank_fences(text: str) -> str:
    return FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)


def _without_prompt(line: str) -> str:
    return line.removeprefix("$ ")


def _quote(path: Path, text: str, position: int, quoted: str, offset: int = 0) -> Quote:
    return Quote(str(path.relative_to(ROOT)), text.count("\n", 0, position) + 1 + offset, quoted)
