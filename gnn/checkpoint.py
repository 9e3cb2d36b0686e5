"""What training has reached, in plain files: a kill costs one epoch, and the result is the same.

One `.npz` without pickled objects an epoch; it is written beside its place and moved there, so that
it is whole or not there.
"""

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from graph.errors import Incompatible, InvalidSetting

FILE: Final = "epoch.npz"
_REMEDY: Final = "Remove the folder to train from the start."
_SAID: Final = "said"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far training has come.

    Attributes:
        epoch: Epochs done.
        best_epoch: The one whose weights are kept.
        history: Average precision on the later slice after each epoch.
    """

    epoch: int = 0
    best_epoch: int = 0
    history: tuple[float, ...] = ()


def weights_of(model: nn.Module) -> dict[str, NDArray[Any]]:
    """Parameters and scales by name, copied."""
    return {name: value.detach().cpu().numpy().copy() for name, value in model.state_dict().items()}


def put_weights(model: nn.Module, weights: Mapping[str, NDArray[Any]]) -> None:
    """Give a model the weights of another of the same shape."""
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})


def save(
    folder: Path,
    run: str,
    progress: Progress,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: Mapping[str, NDArray[Any]],
) -> None:
    """Write what an epoch reached; `run` names data, settings and seed.

    Raises:
        InvalidSetting: The folder cannot be written.
    """
    said = msgspec.json.encode({"run": run, "progress": progress})
    arrays: dict[str, Any] = {_SAID: np.frombuffer(said, np.uint8)}
    arrays |= {f"model.{name}": value for name, value in weights_of(model).items()}
    arrays |= {f"best.{name}": value for name, value in best.items()}
    for number, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            arrays[f"optimizer.{number}.{name}"] = value.detach().cpu().numpy()
    beside = folder / f"{FILE}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(folder / FILE)
    except OSError as error:
        raise InvalidSetting(
            f"the checkpoint cannot be written: {error.strerror}",
            field="checkpoint folder",
            value=str(folder),
            remedy="Give a folder that can be written and has room.",
        ) from error


def resume(
    folder: Path, run: str, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, NDArray[Any]]] | None:
    """Go on from what is in a folder; None where there is nothing. Mutates model and optimizer.

    Raises:
        Incompatible: It is torn, or of another run.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        said = msgspec.json.decode(arrays.pop(_SAID).tobytes())
        progress = msgspec.convert(said["progress"], Progress)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise Incompatible(
            "the checkpoint cannot be read", field=str(path), value=repr(error), remedy=_REMEDY
        ) from error
    if said["run"] != run:
        raise Incompatible(
            "the checkpoint is of other data, settings or seed",
            field=str(path),
            value=str(said["run"]),
            remedy=_REMEDY,
        )
    put_weights(model, _under("model.", arrays))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _under("optimizer.", arrays).items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = torch.from_numpy(value)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return progress, _under("best.", arrays)


def _under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
