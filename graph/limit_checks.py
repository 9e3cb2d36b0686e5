"""What every frozen set of limits has in common: a value that cannot work is refused at once."""

from collections.abc import Collection
from dataclasses import fields
from typing import TYPE_CHECKING

from graph.errors import InvalidSetting

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def require_workable(limits: "DataclassInstance", shares: Collection[str] = ()) -> None:
    """Refuse a limit that is not above zero, and a share above 1.

    Args:
        limits: A dataclass of numbers.
        shares: Names of those that are shares.

    Raises:
        InvalidSetting: It names the first that cannot work.
    """
    for field in fields(limits):
        value = getattr(limits, field.name)
        if not value > 0:
            raise InvalidSetting(
                "must be greater than zero",
                field=field.name,
                value=str(value),
                remedy="Leave it out to take the default.",
            )
        if field.name in shares and value > 1:
            raise InvalidSetting(
                "is a share and cannot exceed 1",
                field=field.name,
                value=str(value),
                remedy="Write 80 % as 0.8.",
            )
