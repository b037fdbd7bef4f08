"""The addresses that notifications go to: those of ATNET_NOTIFY in Apprise's form, or the log."""

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

from atnet.errors import ConfigurationError
from atnet.notifications.alert import Alert

logger = logging.getLogger(__name__)

NOTIFY_VARIABLE = "ATNET_NOTIFY"
LOG = "log"
"""Key of the log, to which everything goes if there is no address."""
SEPARATOR = re.compile(r"[\s,]+(?=[a-z][a-z0-9+.\-]*://)", re.IGNORECASE)
LEVELS = {"info": logging.INFO, "success": logging.INFO, "warning": logging.WARNING, "failure": logging.ERROR}
REPEATED = "May be a repetition: `atnet watch` was killed while it sent this."


@dataclass(frozen=True, slots=True)
class Addresses:
    """Key -> address. A key says nothing about the address, so it may be stored."""

    by_key: Mapping[str, str]

    @property
    def keys(self) -> list[str]:
        """Return the keys of all addresses."""
        return list(self.by_key) or [LOG]

    def send(self, key: str, alert: Alert, *, repeated: bool) -> bool:
        """Send an alert to one address and return whether it has been accepted."""
        if key == LOG:
            logger.log(LEVELS[alert.level], "%s", f"{alert.title}. {alert.text}".strip())
            return True
        # Only here: without an address it is not needed.
        import apprise

        target = apprise.Apprise()
        target.add(self.by_key[key])
        # Apprise sends nothing without a text.
        text = alert.text or alert.title
        text = f"{text}\n{REPEATED}" if repeated else text
        try:
            return bool(target.notify(title=alert.title, body=text, notify_type=alert.level))
        except (OSError, ValueError, TypeError) as error:
            # Without the message, which may quote the address.
            logger.warning("Address %d of %s failed: %s", self._number(key), NOTIFY_VARIABLE, type(error).__name__)
            return False

    def _number(self, key: str) -> int:
        return list(self.by_key).index(key) + 1


def read_addresses(environment: Mapping[str, str]) -> Addresses:
    """Read the addresses of ATNET_NOTIFY, separated by spaces, line ends or commas.

    Raises:
        ConfigurationError: if Apprise does not know one; the message does not quote it, because it contains secrets.
    """
    text = environment.get(NOTIFY_VARIABLE, "").strip()
    if not text:
        return Addresses({})
    import apprise

    addresses = {}
    for number, address in enumerate(SEPARATOR.split(text), start=1):
        if apprise.Apprise.instantiate(address, suppress_exceptions=True) is None:
            raise ConfigurationError(
                f"Address {number} of {NOTIFY_VARIABLE} is not one that Apprise supports. The formats are listed at "
                "https://github.com/caronc/apprise/wiki; docs/operating.md has examples."
            )
        addresses[hashlib.sha256(address.encode()).hexdigest()[:12]] = address
    return Addresses(addresses)
