"""The result of one check."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "fault"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, with the next step if there is one."""

    subject: str
    level: Level
    message: str

    @property
    def is_fault(self) -> bool:
        """Whether something will fail."""
        return self.level == "fault"
