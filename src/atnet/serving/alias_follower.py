"""How the registry process follows one alias: resolve, download, verify, self-check, move the pointer."""

import logging
from dataclasses import dataclass, field
from typing import Literal

from atnet.errors import ModelError, StoreError
from atnet.registry.model_source import ModelSource, SourceVersion
from atnet.serving.loaded_model import load_model
from atnet.serving.model_folder import Manifest, ModelFolder

logger = logging.getLogger(__name__)

Outcome = Literal["ok", "missing", "unreachable", "rejected", "error"]
LONGEST_WAIT_SECONDS = 300.0
"""Between two tries of a version that was refused."""
VERIFY_SECONDS = 60.0
"""Between two comparisons of the copy on disk with its hashes: a worker that starts needs it whole."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A version that was refused, and when it is tried again."""

    version: SourceVersion
    reason: str
    tries: int
    next_try: float


@dataclass(slots=True)
class AliasFollower:
    """Keeps an alias's pointer on its version."""

    source: ModelSource
    models: ModelFolder
    alias: str
    retry_seconds: float
    version: SourceVersion | None = None
    """The version that the pointer was moved to by this process."""
    rejection: Rejection | None = None
    message: str | None = None
    """What keeps the alias from being followed; None if nothing does."""
    verify_seconds: float = VERIFY_SECONDS
    _verified: float = field(default=0.0, repr=False)
    _logged: str | None = field(default=None, repr=False)

    def look(self, now: float) -> Outcome:
        """Look at the alias once; whatever is wrong, the last good copy stays; `now` in seconds of any clock."""
        version: SourceVersion | None = None
        try:
            version = self.source.resolve(self.alias)
            if version is None:
                return self._stay("missing", f"No version has the alias {self.alias}. Release one: `make release`.")
            if self.rejection is not None and self.rejection.version == version and now < self.rejection.next_try:
                return self._stay("rejected", self.rejection.reason)
            if version != self.version or now - self._verified > self.verify_seconds:
                self._follow(version, now)
        except StoreError as error:
            return self._stay("unreachable", str(error))
        except OSError as error:
            return self._stay("error", f"The service's folder cannot be used ({error.strerror or error}).")
        except ModelError as error:
            self._reject(version, str(error), now)
            return self._stay("rejected", str(error))
        self.rejection, self.message, self._logged = None, None, None
        return "ok"

    def _follow(self, version: SourceVersion, now: float) -> None:
        """Download a version unless an undamaged copy is there, and move the pointer if that changes anything."""
        manifest = Manifest(version.model, version.number, version.model_sha256, version.content_sha256, {})
        folder, downloaded = self.models.add(manifest, lambda part: self.source.download(version, part))
        self._verified = now
        if downloaded or version != self.version:
            load_model(folder)
            self.models.point(self.alias, folder)
            logger.info("Version %d is verified and self-checked for %s.", version.number, self.alias)
        self.version = version

    def _reject(self, version: SourceVersion | None, reason: str, now: float) -> None:
        if version is None:
            return  # it has no hash to verify it by, and is looked at again next time
        before = self.rejection
        tries = before.tries + 1 if before is not None and before.version == version else 1
        wait = min(self.retry_seconds * 2**tries, LONGEST_WAIT_SECONDS)
        self.rejection = Rejection(version, reason, tries, now + wait)

    def _stay(self, outcome: Outcome, message: str) -> Outcome:
        """Keep what there is; say why once, not at every look."""
        self.message = message
        if message != self._logged:
            logger.warning("%s The last good copy stays.", message)
            self._logged = message
        return outcome
