"""The documentation is true: commands, options, messages, parameters, files and links that it names exist."""

import functools
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from atnet.cli.app import COMMANDS, command_line
from pipelines.stage_list import SAMPLE, declared_stages
from tests import docpages
from tests.docpages import ROOT, Quote, closest_template, is_quoted_from, templates, words

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
NOT_PARAMETERS = {"release.lock", "release.pending"}
"""Tags that look like parameters."""
FILE_TYPES = (".arrow", ".json", ".md", ".npy", ".parquet", ".py", ".yaml")
NO_LIMIT = re.compile(r"https?://|\]\(")


def expect_none(problems: Iterable[str]) -> None:
    """Fail with one problem per line, if there are any."""
    messages = list(problems)
    assert not messages, "\n" + "\n".join(messages)


def problem_of_command(command: list[str]) -> str | None:
    """Return what is wrong with an `atnet` command line, or None."""
    called = next((word for word in command[1:] if word in COMMANDS), None)
    current = typer.main.get_command(command_line(called))
    for word in command[1:]:
        if word.startswith("-"):
            options = {name for parameter in current.params for name in parameter.opts}
            if word.split("=")[0] not in {*options, "--help"}:
                return f"`{current.name}` has no option {word}; it has {sorted(options)}"
        elif isinstance(current, TyperGroup):
            if word not in current.commands:
                return f"`{current.name}` has no command {word}; it has {sorted(current.commands)}"
            current = current.commands[word]
    return None


def test_every_atnet_command_in_the_docs_exists_with_its_options() -> None:
    quoted = list(docpages.commands("atnet"))
    assert len(quoted) > 30
    expect_none(f"{quote}: {problem}" for quote in quoted if (problem := problem_of_command(words(quote.text))))


@pytest.mark.parametrize("command", ["atnet realease", "atnet release --isolate", "atnet analyze label"])
def test_a_misspelled_command_is_detected(command: str) -> None:
    assert problem_of_command(command.split()) is not None


def test_every_command_of_the_cli_is_in_the_docs() -> None:
    quoted = [words(quote.text)[1:] for quote in docpages.commands("atnet")]
    leaves = [path for name in COMMANDS for path in _leaves(_command(name), [name])]
    expect_none(" ".join(path) for path in leaves if not any(command[: len(path)] == path for command in quoted))


def _command(name: str) -> object:
    root = typer.main.get_command(command_line(name))
    assert isinstance(root, TyperGroup)
    return root.commands[name]


def _leaves(command: object, path: list[str]) -> Iterator[list[str]]:
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from _leaves(inner, [*path, name])
    else:
        yield path


def test_every_quoted_message_is_in_the_source() -> None:
    quoted = list(docpages.messages())
    assert len(quoted) > 50
    stale = [quote for quote in quoted if not any(is_quoted_from(quote.text, template) for template in likely(quote))]
    expect_none(f"{quote}\n    closest: {closest_template(quote.text)}" for quote in stale)


def likely(quote: Quote) -> list[str]:
    """Return the templates that share two neighboring words with a message, those with most in common first."""
    pairs = _pairs(quote.text)
    shared = {template: len(pairs & _pairs(template)) for template in templates()}
    return sorted((template for template, count in shared.items() if count), key=shared.__getitem__, reverse=True)


@functools.cache
def _pairs(text: str) -> set[tuple[str, str]]:
    return set(pairwise(re.findall(r"[\w']+", text)))


@pytest.mark.parametrize(
    ("message", "template", "expected"),
    [
        ("x has no column 'text'", "\0 has no column \0 (found: \0)", True),
        ("… has no column 'text' (found: …)", "\0 has no column \0 (found: \0)", True),
        ("… has no row 'text'", "\0 has no column \0 (found: \0)", False),
        ("… is damaged. Delete it.", "\0 is damaged (\0). Delete it and run dvc repro.", False),
        ("… is damaged (…). Delete it", "\0 is damaged (\0). Delete it and run dvc repro.", True),
        ("anything at all", "\0: \0", False),
    ],
)
def test_a_message_matches_only_the_template_it_comes_from(message: str, template: str, expected: bool) -> None:
    assert is_quoted_from(message, template) is expected


def test_every_parameter_in_the_docs_exists() -> None:
    sections = "|".join(PARAMS)
    unknown = []
    for quote in docpages.inline_code():
        for name in re.findall(rf"(?<![\w./-])(?:{sections})(?:\.[a-z]\w*)+(?![\w/(*])", quote.text):
            if name not in NOT_PARAMETERS and not name.endswith(FILE_TYPES) and not _has(name.split(".")):
                unknown.append(f"{quote}: {name}")
    expect_none(unknown)


def _has(path: list[str]) -> bool:
    value = PARAMS
    for name in path:
        if not isinstance(value, dict):
            # A key below a null or a map of the user's own, such as release.golden.path.
            return value is None
        if name not in value:
            return value == {}
        value = value[name]
    return True


def test_every_make_target_module_and_stage_in_the_docs_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert [
        str(quote) for quote in docpages.commands("make") if words(quote.text)[1] not in targets | {"PYTHON=…"}
    ] == []
    modules = [(quote, words(quote.text)) for quote in docpages.commands("python")]
    assert [
        str(quote) for quote, command in modules if command[1] == "-m" and importlib.util.find_spec(command[2]) is None
    ] == []
    stages = {SAMPLE, *declared_stages(ROOT)}
    repro = [(quote, words(quote.text)[2:]) for quote in docpages.commands("dvc") if words(quote.text)[1] == "repro"]
    named = [(quote, word.removeprefix("data/dvc.yaml:")) for quote, command in repro for word in command]
    assert [str(quote) for quote, name in named if not name.startswith("-") and name not in stages] == []


def test_every_link_in_the_docs_leads_somewhere() -> None:
    broken = []
    for page, quote in docpages.links():
        target, _, anchor = quote.text.partition("#")
        if target.startswith(("http://", "https://")):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in _anchors(path)):
            broken.append(str(quote))
    expect_none(broken)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_source_file_in_the_docs_exists() -> None:
    pattern = re.compile(r"(?:src|tests|benchmarks|pipelines|docs|behavior)/[\w/.-]+\.(?:py|md|yaml|svg|jsonl)")
    paths = [(quote, path) for quote in docpages.inline_code() for path in pattern.findall(quote.text)]
    expect_none(str(quote) for quote, path in paths if not (ROOT / path).exists())


def test_the_guide_explains_every_part_of_the_report() -> None:
    templates_folder = ROOT / "src" / "atnet" / "report" / "templates"
    pages = [templates_folder / name for name in ("report.html", "explanations.html")]
    parts = [part for page in pages for part in re.findall(r"<h2>(.+?)</h2>", page.read_text(encoding="utf-8"))]
    guide = (ROOT / "docs" / "reading-a-run.md").read_text(encoding="utf-8").lower()
    assert len(parts) > 8
    expect_none(part for part in parts if part.lower() not in guide and part != "Data and methods")


def test_prose_wraps_at_120_characters() -> None:
    long = [quote for quote in docpages.prose_lines() if len(quote.text) > 120 and not NO_LIMIT.search(quote.text)]
    expect_none(f"{quote.page}:{quote.line} ({len(quote.text)})" for quote in long)


def test_the_generated_parts_are_up_to_date(tmp_path: Path) -> None:
    code = (
        "import importlib.util, pathlib, sys\n"
        f"spec = importlib.util.spec_from_file_location('generate', {str(ROOT / 'docs' / 'generate.py')!r})\n"
        "generate = importlib.util.module_from_spec(spec); sys.modules['generate'] = generate\n"
        "spec.loader.exec_module(generate)\n"
        "docs, stages = generate.ROOT / 'docs', generate.read_stages()\n"
        "assert (docs / 'stages.svg').read_text() == generate.stage_picture(stages), 'stages.svg: run make docs'\n"
        "assert (docs / 'aliases.svg').read_text() == generate.alias_picture(), 'aliases.svg: run make docs'\n"
        "assert (docs / 'model-life.svg').read_text() == generate.life_picture(), 'model-life.svg: run make docs'\n"
        "page = (generate.ROOT / 'README.md').read_text()\n"
        "assert generate.with_stage_table(page, stages) == page, 'README.md: run make docs'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_pictures_are_small() -> None:
    pictures = [path for path in (ROOT / "docs").iterdir() if path.suffix in (".png", ".svg")]
    assert len(pictures) >= 3
    assert {path.name: path.stat().st_size for path in pictures if path.stat().st_size > 200_000} == {}
