"""Turn a user's own expectation into Great Expectations' object, with messages that name it."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from great_expectations.exceptions.exceptions import GreatExpectationsError
from great_expectations.expectations.expectation import (
    ColumnMapExpectation,
    ColumnPairMapExpectation,
    MulticolumnMapExpectation,
)
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.registry import list_registered_expectation_implementations

from atnet.data.own_expectations import OwnExpectation
from atnet.errors import ConfigurationError

OF_ROWS = (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation)
"""Classes of expectations that every row meets or not."""


@dataclass(frozen=True, slots=True)
class NativeExpectation:
    """An object of Great Expectations; its type is not exported."""

    expectation: Any
    is_of_rows: bool
    """Whether single rows meet it or not."""


def native_expectation(own: OwnExpectation, where: str) -> NativeExpectation:
    """Build the object.

    Args:
        own: the expectation.
        where: file and position, for messages.

    Raises:
        ConfigurationError: if the type or an argument is unknown, with the reason.
    """
    types = list_registered_expectation_implementations()
    if own.type not in types:
        closest = difflib.get_close_matches(own.type, types, n=1)
        hint = f" Did you mean {closest[0]}?" if closest else ""
        raise ConfigurationError(f"{where}: Great Expectations has no {own.type}.{hint}")
    configuration = ExpectationConfiguration(
        type=own.type,
        kwargs=dict(own.kwargs),
        severity=own.severity,  # type: ignore[arg-type]
        notes=own.notes,
        meta={**own.meta, "check": own.name},
    )
    try:
        expectation = configuration.to_domain_obj()
    # Its validation errors are ValueErrors of a pydantic inside it.
    except (ValueError, TypeError, GreatExpectationsError) as error:
        raise ConfigurationError(f"{where} ({own.type}): {_reason(str(error))} Correct its kwargs.") from error
    return NativeExpectation(expectation, isinstance(expectation, OF_ROWS))


def require_checked(result: Any, source: Path) -> None:
    """Check that an expectation was evaluated.

    Raises:
        ConfigurationError: with the reason that Great Expectations gives.
    """
    info = result.exception_info or {}
    # One exception, or one for each metric.
    exceptions = [info] if "raised_exception" in info else list(info.values())
    messages = [str(item.get("exception_message")) for item in exceptions if item.get("raised_exception")]
    if messages:
        name = result.expectation_config.meta["check"]
        raise ConfigurationError(
            f"{source}: {name} cannot be checked: {messages[0].splitlines()[0]} Correct it, or the column's values."
        )


def _reason(message: str) -> str:
    """Return a validation error in one line: `minvalue: extra fields not permitted`."""
    lines = [line.strip() for line in message.splitlines()]
    if len(lines) < 3:
        return message
    pairs = zip(lines[1::2], lines[2::2], strict=False)
    return "; ".join(f"{name}: {reason.partition(' (type=')[0]}" for name, reason in pairs) + "."
