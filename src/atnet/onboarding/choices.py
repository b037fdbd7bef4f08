"""Questions that the file leaves open."""

from collections.abc import Sequence
from dataclasses import dataclass

from atnet.errors import DataContractError


@dataclass(frozen=True, slots=True)
class Choice:
    """A question, the option that answers it, and the possible answers."""

    question: str
    option: str
    """The option as typed: `--text`."""
    answers: tuple[str, ...]

    def describe(self) -> str:
        """Return the question with the options to type."""
        options = "\n".join(f"  {self.option} {quote_argument(answer)}" for answer in self.answers)
        return f"{self.question} Choose with an option:\n{options}"


class OpenQuestion(DataContractError):
    """A file leaves questions open; carries them."""

    def __init__(self, choices: Sequence[Choice]) -> None:
        super().__init__("\n".join(choice.describe() for choice in choices))
        self.choices = tuple(choices)


def quote_argument(value: str) -> str:
    """Return a value as it is typed in a shell."""
    plain = value and all(character.isalnum() or character in "_-./:=" for character in value)
    return value if plain else "'" + value.replace("'", "'\\''") + "'"
