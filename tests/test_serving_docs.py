"""docs/serving.md says what the code does."""

import re
from pathlib import Path
from typing import Any

import pytest

from atnet.config import Params
from atnet.serving.openapi import ERRORS
from atnet.serving.page import FILES
from atnet.serving.prediction_files import SCHEMA
from atnet.serving.service_metrics import RegistryMetrics, SupervisorMetrics, WorkerMetrics
from tests.settings import ROOT

GUIDE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
SOURCE = "\n".join(
    path.read_text(encoding="utf-8")
    for folder in ("serving", "registry", "cli", ".")
    for path in (ROOT / "src" / "atnet" / folder).glob("*.py")
)


def _metric_names() -> set[str]:
    names = set()
    for metrics in (WorkerMetrics(), RegistryMetrics(), SupervisorMetrics()):
        for value in vars(metrics).values():
            for metric in value.values() if isinstance(value, dict) else [value]:
                if hasattr(metric, "_type"):
                    suffix = "_total" if metric._type == "counter" else ""
                    names.add(f"{metric._name}{suffix}")
    return names


def test_the_guide_names_every_metric_and_no_other() -> None:
    named = set(re.findall(r"`(atnet_[a-z_]+)[`{ ]", GUIDE))
    assert named == _metric_names()


def test_the_guide_names_every_column_of_the_prediction_log() -> None:
    section = GUIDE.partition("## The prediction log")[2].partition("```python")[0]
    named = re.findall(
        r"`(\w+)`", "".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))
    )
    assert sorted(named) == sorted(SCHEMA.names)


def test_the_guide_names_every_error_status() -> None:
    section = GUIDE.partition("| status | when | retry |")[2].partition("\n\n")[0]
    assert set(re.findall(r"\b[45]\d\d\b", section)) | {"500"} == set(ERRORS)


@pytest.mark.parametrize("path", ["/v1/predict", "/health", "/ready", "/metrics", "/openapi.json", "/"])
def test_the_guide_names_every_path(path: str) -> None:
    assert re.search(rf"`(GET|POST) {re.escape(path)}`", GUIDE)
    assert path in FILES or f'"{path}"' in SOURCE


def test_every_parameter_that_the_guide_names_exists(params: Params) -> None:
    serve: dict[str, Any] = params.serve.model_dump()
    for section, key in re.findall(r"`(limits|timeouts|prediction_log|shadow|logging)\.(\w+)", GUIDE):
        assert key in serve[section], f"{section}.{key}"
    for key in re.findall(r"`serve\.(\w+)", GUIDE):
        assert key in serve


def test_every_message_that_the_guide_explains_is_one_of_the_service() -> None:
    section = GUIDE.partition("## Messages")[2]
    messages = re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)
    assert len(messages) == 9
    source = re.sub(r'"\n\s+f?"|`', "", SOURCE)
    for message in messages:
        parts = [part.strip() for part in re.split(r"…|\b4\b|\b2\b|champion|127\.0\.0\.1:8000|atnet\b", message)]
        for part in filter(None, (part.strip(" .,") for part in parts)):
            assert part in source, f"{part!r} of {message!r}"


def test_the_pictures_are_there_and_small() -> None:
    for name in ("serving-page.png", "serving-page-narrow.png"):
        assert name in GUIDE
        assert (ROOT / "docs" / name).stat().st_size < 200_000


def test_the_readme_shows_the_service_in_three_lines() -> None:
    readme = Path(ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Serving\n")[2].partition("\n## ")[0].strip()
    assert "make serve" in section
    assert len(section.splitlines()) == 3
