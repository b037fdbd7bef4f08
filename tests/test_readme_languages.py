"""README.md and README.pt-BR.md say the same: as many headings, the same commands, code, links and stages."""

import re
from pathlib import Path

from tests.docpages import FENCE, INLINE, LINK

ROOT = Path(__file__).resolve().parents[1]
ENGLISH, PORTUGUESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.pt-BR.md"))


def _prose(page: str) -> str:
    return FENCE.sub("", page)


def _headings(page: str) -> list[int]:
    return [len(level) for level in re.findall(r"^(#+) .+$", _prose(page), re.MULTILINE)]


def _commands(page: str) -> list[str]:
    """Return the lines of all code blocks, without comments, which are translated."""
    lines = [line for _, block in FENCE.findall(page) for line in block.splitlines()]
    return [re.sub(r"\s+# .*$", "", line) for line in lines]


def test_the_headings_have_the_same_levels_in_the_same_order() -> None:
    assert len(_headings(ENGLISH)) > 10
    assert _headings(PORTUGUESE) == _headings(ENGLISH)


def test_the_code_blocks_have_the_same_commands() -> None:
    assert len(_commands(ENGLISH)) > 6
    assert _commands(PORTUGUESE) == _commands(ENGLISH)


def test_every_inline_command_and_file_of_one_page_is_in_the_other() -> None:
    english, portuguese = (set(INLINE.findall(_prose(page))) for page in (ENGLISH, PORTUGUESE))
    assert english - portuguese == set()
    assert portuguese - english <= {"behavior/portuguese.yaml"}


def test_the_links_and_pictures_are_the_same() -> None:
    links = [[link for link in LINK.findall(page) if "README" not in link] for page in (ENGLISH, PORTUGUESE)]
    assert links[1] == links[0]


def test_each_page_names_the_other() -> None:
    assert "README.pt-BR.md" in ENGLISH
    assert "(README.md)" in PORTUGUESE


def test_the_portuguese_lines_wrap_too() -> None:
    lines = [line for line in _prose(PORTUGUESE).splitlines() if not line.startswith(("|", "!["))]
    assert [line for line in lines if len(line) > 120] == []
