"""What holds for every network that learns here: settings that can work, and one thread."""

from dataclasses import asdict
from typing import Any, Final

import torch

from graph.errors import InvalidSetting

THREADS: Final = 1
"""On graphs this small a second thread gains nothing, and where another process keeps the cores
busy its spinning barriers cost ten times the time."""
_MAY_BE_ZERO: Final = "decay"


def must_be_positive(settings: Any, what: str) -> None:
    """Hold the numbers of a dataclass of settings to their range.

    Args:
        settings: Every field of it a number.
        what: They are settings of, for the error.

    Raises:
        InvalidSetting: A number is not positive; weight decay may be 0.
    """
    for name, value in asdict(settings).items():
        if value < 0 or (value == 0 and name != _MAY_BE_ZERO):
            raise InvalidSetting(
                "has to be positive",
                field=f"{what}: {name}",
                value=str(value),
                remedy="Leave it out for the default.",
            )


def use_one_thread(device: torch.device) -> None:
    """Let torch use one thread in this process, where it is the processor that learns."""
    if device.type == "cpu":
        torch.set_num_threads(THREADS)
