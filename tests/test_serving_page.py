"""The page at `/` in a real browser: by keyboard, on a wide and a narrow screen, in English and Portuguese."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import CONTROL, ENTER, TAB, Browser, chromium
from tests.service import RunningService, ServedProject, make_project, running_service

pytestmark = pytest.mark.slow
WIDE, NARROW = (1100, 800), (360, 740)
TEXT = "😀 Good, fine, good but awful"
SHOWN = "!document.querySelector('#result').hidden"
KEY = {"ATNET_API_KEYS": "app=0123456789abcdef"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> ServedProject:
    project = make_project(tmp_path_factory.mktemp("served"), empty_store)
    project.promote(project.publish().number)
    return project


@pytest.fixture(scope="module")
def service(served: ServedProject) -> Iterator[RunningService]:
    with running_service(served.root) as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def _type(browser: Browser, text: str) -> None:
    browser.run("document.querySelector('#text').value = arguments[0]", text)


def test_a_text_is_classified_by_keyboard_alone_with_its_words_colored(
    browser: Browser, service: RunningService
) -> None:
    browser.resize(*WIDE)
    browser.open(service.address)
    assert browser.run("return document.activeElement.id") == "text"
    browser.keys(*"Good, good, fine but awful")
    browser.keys(CONTROL, ENTER)
    browser.wait_for(SHOWN)
    assert browser.text("#answer").startswith("positive: 88.1")
    assert browser.text("#colored") == "Good, good, fine but awful"
    classes = browser.run(
        "return [...document.querySelectorAll('#colored span')].map(span => [span.innerText, span.className])"
    )
    assert [pair for pair in classes if pair[1]] == [
        ["Good", "for"],
        ["good", "for"],
        ["fine", "for"],
        ["awful", "against"],
    ]
    assert browser.text("#model") == "Predicted by atnet, version 1."


def test_the_button_is_reached_with_tab_and_pressed_with_enter(browser: Browser, service: RunningService) -> None:
    browser.open(service.address)
    browser.keys(*"awful")
    browser.keys(TAB, ENTER)
    browser.wait_for(SHOWN)
    assert browser.text("#answer").startswith("negative")


def test_an_emoji_does_not_shift_the_colors(browser: Browser, service: RunningService) -> None:
    browser.open(service.address)
    _type(browser, TEXT)
    browser.keys(CONTROL, ENTER)
    browser.wait_for(SHOWN)
    assert browser.text("#colored") == TEXT
    assert browser.run("return document.querySelector('.against').innerText") == "awful"


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("language", ["en", "pt"])
def test_the_page_fits_the_screen_in_both_languages(
    browser: Browser, service: RunningService, size: tuple[int, int], language: str, tmp_path: Path
) -> None:
    browser.resize(*size)
    browser.open(service.address)
    browser.run("document.querySelector(`[data-language=${arguments[0]}]`).click()", language)
    _type(browser, "Good, fine but " + "a" * 80)
    browser.keys(CONTROL, ENTER)
    browser.wait_for(SHOWN)
    assert browser.run("return document.documentElement.lang") == language
    assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
    small = "return [...document.querySelectorAll('button')].filter(button => button.offsetHeight < 40).length"
    assert browser.run(small) == 0
    assert browser.text("#send") == {"en": "Classify", "pt": "Classificar"}[language]
    empty = (
        "return [...document.querySelectorAll('[data-string]')].filter(node => node.textContent === 'undefined').length"
    )
    assert browser.run(empty) == 0
    if folder := os.environ.get("ATNET_PICTURES"):
        browser.picture(Path(folder) / f"page-{language}-{size[0]}.png")


def test_a_browser_in_portuguese_sees_portuguese_at_once(service: RunningService) -> None:
    with chromium("pt-BR") as browser:
        browser.open(service.address)
        assert browser.text("h1") == "Classificar um texto"


def test_errors_are_shown_in_the_chosen_language_and_a_key_is_requested(
    browser: Browser, tmp_path: Path, empty_store: Path
) -> None:
    project = make_project(tmp_path, empty_store)
    project.promote(project.publish().number)
    with running_service(tmp_path, **KEY) as service:
        browser.open(service.address)
        browser.run("document.querySelector('[data-language=pt]').click()")
        _type(browser, "good")
        browser.run("document.querySelector('#send').click()")
        browser.wait_for("!document.querySelector('#error').hidden")
        assert browser.text("#error") == "Este serviço precisa de uma chave da API."
        assert browser.run("return !document.querySelector('#key-row').hidden")
        browser.run("document.querySelector('#key').value = '0123456789abcdef'")
        browser.run("document.querySelector('#send').click()")
        browser.wait_for(SHOWN)
        assert browser.text("#answer").startswith("positive")
    browser.run("document.querySelector('#send').click()")
    browser.wait_for("!document.querySelector('#error').hidden")
    assert browser.text("#error") == "O serviço não responde. Ainda está em execução?"


def test_the_browser_reports_no_violated_policy_and_loads_nothing_from_elsewhere(
    browser: Browser, service: RunningService
) -> None:
    browser.open(service.address)
    _type(browser, "good <b>bad</b> <script>alert(1)</script>")
    browser.keys(CONTROL, ENTER)
    browser.wait_for(SHOWN)
    loaded = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded
    assert all(name.startswith(service.address) or name.startswith("data:") for name in loaded)
    assert browser.run("return document.querySelectorAll('#colored b, #colored script').length") == 0
    logged = browser.do("/se/log", {"type": "browser"})
    # Other tests of this browser meet refused keys and a stopped service.
    assert [entry["message"] for entry in logged if "Failed to load resource" not in entry["message"]] == []
