"""Queries that change nothing: the ledger and the lineage of versions."""

import hashlib
import re
from pathlib import Path

from atnet.config import Params
from atnet.errors import ReleaseError
from atnet.registry.artifacts import download_train_hashes
from atnet.registry.ledger import LedgerEntry, entries, find_faults
from atnet.registry.ledger_store import local_lines, read_ledger, update_copy
from atnet.registry.lineage import ModelOrigin, files_with_md5, headline, lineage_lines
from atnet.registry.model_origin import origin_of_run, origins
from atnet.registry.versions import Registry, aliases, open_registry, version, versions
from atnet.schema import text_hash

TEXT_HASH = re.compile(r"[0-9a-f]{16}")
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
SHA256 = re.compile(r"[0-9a-f]{64}")


def ledger_entries(params: Params, root: Path) -> list[LedgerEntry]:
    """Return what happened to the registered model, oldest first."""
    registry = open_registry(params.tracking, root)
    ledger = read_ledger(registry)
    update_copy(registry, ledger)
    return entries(ledger)


def ledger_faults(params: Params, root: Path) -> tuple[int, list[str]]:
    """Return the number of ledger lines, and a description of each that was changed, is missing or was added."""
    registry = open_registry(params.tracking, root)
    ledger = read_ledger(registry)
    faults = find_faults(ledger, local_lines(registry))
    if not faults:
        update_copy(registry, ledger)
    return len(ledger.lines), faults


def lineage(params: Params, root: Path, query: str, *, is_text: bool = False) -> list[str]:
    """Describe the lineage from files to the live alias.

    Args:
        params: of the project.
        root: the project folder.
        query: an alias, a version, a run id, the SHA-256 of a model, the MD5 of a file, a path, or a text's hash.
        is_text: whether `query` is a text itself.

    Raises:
        ReleaseError: if nothing matches.
    """
    registry = open_registry(params.tracking, root)
    if is_text or TEXT_HASH.fullmatch(query):
        return _trained_on(registry, text_hash(query) if is_text else query)
    current = aliases(registry)
    number = current.get(query) or (int(query) if query.isdecimal() and len(query) < 10 else None)
    if number is not None:
        return _lineages(origins(registry, [version(registry, number)]))
    if SHA256.fullmatch(query):
        matches = origins(registry, [match for match in versions(registry) if match.sha256 == query])
        return _lineages(_require_some(matches, query))
    if MD5.fullmatch(query):
        origin = origin_of_run(registry, query)
        return _lineages([origin]) if origin else _from_file(registry, query, query)
    path = root / query
    if path.is_file():
        return _from_file(registry, hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest(), query)
    raise ReleaseError(
        f"{query!r} is not a version, run, hash or file; the aliases are: {', '.join(sorted(current)) or 'none'}. "
        "Use --text to search for the versions trained on a text."
    )


def _lineages(matches: list[ModelOrigin]) -> list[str]:
    return [line for origin in matches for line in ["", headline(origin), "", *lineage_lines(origin)]][1:]


def _trained_on(registry: Registry, digest: str) -> list[str]:
    """List the versions that were trained on a text."""
    registered = versions(registry)
    trained = [candidate for candidate in registered if digest in download_train_hashes(registry, candidate)]
    lines = [f"  {headline(origin)}" for origin in origins(registry, trained)]
    return [f"text {digest}: {len(trained)} of {len(registered)} versions were trained on it", *lines]


def _from_file(registry: Registry, md5: str, name: str) -> list[str]:
    """List the versions that come from a file's content."""
    candidates = [(origin, files_with_md5(origin, md5)) for origin in origins(registry, versions(registry))]
    matches = _require_some([origin for origin, paths in candidates if paths], name)
    paths = dict.fromkeys(path for _, origin_paths in candidates for path in origin_paths)
    lines = [f"  {headline(origin)}" for origin in matches]
    return [f"{md5} is {', '.join(paths)}", *lines, *_lineages(matches[-1:])]


def _require_some(matches: list[ModelOrigin], query: str) -> list[ModelOrigin]:
    if not matches:
        raise ReleaseError(f"No version in the registry comes from {query}.")
    return matches
