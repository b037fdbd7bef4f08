"""The model card of a version, from the files of the project and the verdict."""

from pathlib import Path

from atnet import files
from atnet.config import Params
from atnet.git_dvc import git_state
from atnet.registry.versions import Registry, Version
from atnet.release.gate.result import GateResult
from atnet.release.model_card import CardValues, card_html, card_markdown
from atnet.release.records import Card
from atnet.storage import read_json
from atnet.tracking import collect_run_contents


def model_card(
    params: Params,
    root: Path,
    registry: Registry,
    version: Version,
    verdict: GateResult,
) -> Card:
    """Write the card from what was published.

    Raises:
        AtnetError: if the files are not complete or do not belong together.
    """
    published = collect_run_contents(params, root)
    values = CardValues(
        name=registry.model,
        version=str(version.number),
        model_uri=f"models:/{registry.model}/{version.number}",
        model_sha256=version.sha256,
        labels=read_json(root / files.INFERENCE_CONFIG)["labels"],
        words=params.release.model_card,
        confidence=params.evaluate.confidence,
        results=published.results,
        details=published.details,
        slices=published.slices,
        splits=published.splits,
        verdict=verdict,
        parameters=published.params,
        example=published.example[0] if published.example else "a text",
        commit=git_state(root).commit,
    )
    return Card(card_markdown(values), card_html(values))
