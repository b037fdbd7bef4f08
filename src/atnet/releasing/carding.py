"""The model card of a version, from the files of the project and the verdict."""

from pathlib import Path

from atnet.config import Params
from atnet.registry.versions import Registry, Version
from atnet.release.card import CardValues, card_html, card_markdown
from atnet.release.verdict import Verdict
from atnet.releasing.records import Card
from atnet.storage import read_json
from atnet.tracking import Folders, read_publication
from atnet.versioning import git_state


def model_card(
    params: Params,
    root: Path,
    registry: Registry,
    version: Version,
    verdict: Verdict,
) -> Card:
    """Write the card from what was published.

    Raises:
        AtnetError: if the files are not complete or do not belong together.
    """
    folders = params.folders
    where = Folders(root / folders.splits, root / folders.model, root / folders.evaluation)
    published = read_publication(params, where, root)
    values = CardValues(
        name=registry.model,
        version=str(version.number),
        model_uri=f"models:/{registry.model}/{version.number}",
        model_sha256=version.sha256,
        labels=read_json(where.model / "labels.json")["labels"],
        words=params.release.card,
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
