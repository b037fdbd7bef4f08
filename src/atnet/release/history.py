"""What can be asked without changing anything: the ledger and the lineage."""

import hashlib
import re
from pathlib import Path

from atnet.config import Params
from atnet.errors import ReleaseError
from atnet.registry.artifacts import train_hashes
from atnet.registry.ledger import entries, find_faults, history_table
from atnet.registry.ledger_store import local_lines, read_ledger, update_copy
from atnet.registry.lineage import Origin, chain, files_with, headline
from atnet.registry.model_origin import origin_of_run, origins
from atnet.registry.versions import Registry, aliases, open_registry, version, versions
from atnet.schema import text_hash

TEXT_HASH = re.compile(r"[0-9a-f]{16}")
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
SHA256 = re.compile(r"[0-9a-f]{64}")


def history(params: Params, root: Path) -> list[str]:
    """Tell what happened to the registered model, oldest first."""
    registry = open_registry(params.tracking, root)
    ledger = read_ledger(registry)
    update_copy(registry, ledger)
    found = entries(ledger)
    return history_table(found) if found else [f"Nothing has been released yet of {registry.model}."]


def ledger_faults(params: Params, root: Path) -> tuple[int, list[str]]:
    """Count the ledger's lines and name those that were changed, are missing or were added."""
    registry = open_registry(params.tracking, root)
    ledger = read_ledger(registry)
    faults = find_faults(ledger, local_lines(registry))
    if not faults:
        update_copy(registry, ledger)
    return len(ledger.lines), faults


def lineage(params: Params, root: Path, what: str, *, is_text: bool = False) -> list[str]:
    """Tell the chain from files to live alias.

    Args:
        what: an alias, a version, a run's id, a model's SHA-256, the MD5 of a file, a path, or a text's hash.
        is_text: `what` is a text itself.

    Raises:
        ReleaseError: if nothing of the kind is known.
    """
    registry = open_registry(params.tracking, root)
    if is_text or TEXT_HASH.fullmatch(what):
        return _trained_on(registry, text_hash(what) if is_text else what)
    number = aliases(registry).get(what) or (int(what) if what.isdecimal() and len(what) < 10 else None)
    if number is not None:
        return _chains(origins(registry, [version(registry, number)]))
    if SHA256.fullmatch(what):
        found = origins(registry, [one for one in versions(registry) if one.sha256 == what])
        return _chains(_known(found, what))
    if MD5.fullmatch(what) and (origin := origin_of_run(registry, what)):
        return _chains([origin])
    if MD5.fullmatch(what):
        return _from_file(registry, what, what)
    path = root / what
    if path.is_file():
        return _from_file(registry, hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest(), what)
    held = ", ".join(sorted(aliases(registry))) or "none"
    raise ReleaseError(
        f"{what!r} is no version, no run, no hash and no file here; the aliases are: {held}. "
        "Use --text to ask for the versions trained on a text."
    )


def _chains(found: list[Origin]) -> list[str]:
    return [line for one in found for line in ["", headline(one), "", *chain(one)]][1:]


def _trained_on(registry: Registry, digest: str) -> list[str]:
    """Name the versions that have seen a text in training."""
    known = versions(registry)
    seen = [one for one in known if digest in train_hashes(registry, one)]
    lines = [headline(origin) for origin in origins(registry, seen)]
    return [f"text {digest}: {len(seen)} of {len(known)} versions were trained on it", *(f"  {one}" for one in lines)]


def _from_file(registry: Registry, md5: str, name: str) -> list[str]:
    """Name the versions that came from a file's content."""
    found = [(one, files_with(one, md5)) for one in origins(registry, versions(registry))]
    hits = _known([one for one, paths in found if paths], name)
    paths = dict.fromkeys(path for _, known in found for path in known)
    return [f"{md5} is {', '.join(paths)}", *(f"  {headline(one)}" for one in hits), *_chains(hits[-1:])]


def _known(found: list[Origin], what: str) -> list[Origin]:
    if not found:
        raise ReleaseError(f"No version in the registry comes from {what}.")
    return found
