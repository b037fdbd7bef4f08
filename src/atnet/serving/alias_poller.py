"""One alias as the registry process follows it: resolve, download, verify, self-check, move the pointer."""

import logging
from dataclasses import dataclass, field
from typing import Literal

from atnet.errors import ModelError, StoreError
from atnet.model_verification import PublishedVersion
from atnet.registry.model_source import ModelSource
from atnet.serving.loaded_model import load_model
from atnet.serving.model_copies import ModelCopies

logger = logging.getLogger(__name__)

PollResult = Literal["ok", "missing", "unreachable", "rejected", "error"]
MAX_RETRY_SECONDS = 300.0
"""Longest time between two attempts with a rejected version."""
VERIFY_SECONDS = 60.0
"""Time between two verifications of the copy on disk: a worker that starts needs it intact."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A rejected version, and when the next attempt with it is made."""

    version: PublishedVersion
    reason: str
    attempts: int
    next_attempt: float


@dataclass(slots=True)
class AliasPoller:
    """Keeps the pointer of an alias at the alias's version."""

    source: ModelSource
    copies: ModelCopies
    alias: str
    retry_seconds: float
    version: PublishedVersion | None = None
    """The version that this process has pointed at."""
    rejection: Rejection | None = None
    message: str | None = None
    """Why the alias cannot be followed; None if it can."""
    verify_seconds: float = VERIFY_SECONDS
    _verified: float = field(default=0.0, repr=False)
    _logged: str | None = field(default=None, repr=False)

    def poll(self, now: float) -> PollResult:
        """Read the alias once. Whatever fails, the last good copy stays in use.

        Args:
            now: seconds of a monotonic clock.
        """
        version: PublishedVersion | None = None
        try:
            version = self.source.resolve(self.alias)
            if version is None:
                return self._keep("missing", f"No version has the alias {self.alias}. Release one: `make release`.")
            if self.rejection is not None and self.rejection.version == version and now < self.rejection.next_attempt:
                return self._keep("rejected", self.rejection.reason)
            if version != self.version or now - self._verified > self.verify_seconds:
                self._follow(version, now)
        except StoreError as error:
            return self._keep("unreachable", str(error))
        except OSError as error:
            return self._keep("error", f"The service's folder cannot be used ({error.strerror or error}).")
        except ModelError as error:
            self._reject(version, str(error), now)
            return self._keep("rejected", str(error))
        self.rejection, self.message, self._logged = None, None, None
        return "ok"

    def _follow(self, version: PublishedVersion, now: float) -> None:
        """Ensure an intact copy of the version; move the pointer if that changes anything."""
        copy, downloaded = self.copies.ensure(version, lambda folder: self.source.download(version, folder))
        self._verified = now
        if downloaded or version != self.version:
            load_model(copy)
            self.copies.point(self.alias, copy)
            logger.info("Version %d is verified and self-checked as %s.", version.number, self.alias)
        self.version = version

    def _reject(self, version: PublishedVersion | None, reason: str, now: float) -> None:
        if version is None:
            return  # it cannot be verified; the next poll looks it up again
        before = self.rejection
        attempts = before.attempts + 1 if before is not None and before.version == version else 1
        wait = min(self.retry_seconds * 2**attempts, MAX_RETRY_SECONDS)
        self.rejection = Rejection(version, reason, attempts, now + wait)

    def _keep(self, result: PollResult, message: str) -> PollResult:
        """Keep the last good copy; log the reason once, not at every poll."""
        self.message = message
        if message != self._logged:
            logger.warning("%s The last good copy stays in use.", message)
            self._logged = message
        return result
