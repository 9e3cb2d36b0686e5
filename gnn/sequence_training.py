"""Learning the sequence model: as the ring model learns, from the same examples.

An epoch goes over the examples in an order drawn from seed and epoch; after each, the average
precision on a later slice says whether to go on. On one machine, with one thread, the same
sequences, settings and seed give the same weights. An epoch takes seconds, so nothing is kept of a
run that is killed.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from torch import nn

from gnn import checkpoint
from gnn.event_sequences import STEPS, WIDTH
from gnn.examples import Examples
from gnn.learning import must_be_positive, use_one_thread
from gnn.sequence_model import SequenceModel, SequenceShape
from gnn.training import Rows, moments, require_both, spread
from graph.errors import InvalidInput

Sequences = NDArray[np.float16]
"""float16 [R, STEPS, WIDTH], one sequence an example (`gnn.event_sequences.sequences`)."""

_SCALED_ON: Final = 8_192
"""Examples that say what is usual, at most, spread over those learned from."""
_AT_ONCE: Final = 4_096
"""Examples that are scored at a time."""


@dataclass(frozen=True, slots=True)
class SequenceTraining:
    """How a sequence model learns.

    Attributes:
        epochs: Most of them.
        patience: Epochs without a better later slice after which it ends.
        rate: Of AdamW.
        decay: Weight decay.
        rows: Examples a step.
        clip: Longest gradient.

    Raises:
        InvalidSetting: A number is not positive.
    """

    epochs: int = 12
    patience: int = 3
    rate: float = 3e-3
    decay: float = 1e-3
    rows: int = 256
    clip: float = 1.0

    def __post_init__(self) -> None:
        must_be_positive(self, "sequence training")


class LearnedSequence(NamedTuple):
    """A model, and how it came about.

    Attributes:
        model: With the weights of the best epoch, in evaluation mode.
        best_epoch: Which one that was, from 1.
        history: Average precision on the later slice after each epoch.
    """

    model: SequenceModel
    best_epoch: int
    history: tuple[float, ...]


def train_sequence(
    sequences: Sequences,
    examples: Examples,
    early: Rows,
    later: Rows,
    *,
    context: tuple[str, ...],
    shape: SequenceShape = SequenceShape(),
    settings: SequenceTraining = SequenceTraining(),
    seed: int = 0,
) -> LearnedSequence:
    """Learn a model on the early examples, stopped by the later ones.

    Args:
        sequences: float16 [R, STEPS, WIDTH], of the examples.
        examples: Labelled transactions.
        early: Which of them are learned from.
        later: Which of them say when to stop.
        context: Names of the columns of the examples' context.
        shape: Of the model.
        settings: How it learns.
        seed: Of everything random.

    Raises:
        InvalidInput: The sequences or the names of the context are not those of the examples.
        InvalidSetting: One of the slices lacks fraud or legitimate transactions.
    """
    for name, rows in (("early", early), ("later", later)):
        require_both(name, examples.fraud[rows])
    _require_shapes(sequences, examples, context)
    use_one_thread(torch.device("cpu"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SequenceModel(context, shape)
        _learn_scales(model, sequences, examples, early)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.rate, weight_decay=settings.decay
        )
        history: list[float] = []
        best_epoch, best = 0, checkpoint.weights_of(model)
        while len(history) < settings.epochs and len(history) - best_epoch < settings.patience:
            epoch = len(history) + 1
            order = np.random.default_rng((seed, epoch)).permutation(early)
            _epoch(model, optimizer, sequences, examples, order, settings)
            said = score_sequences(model, sequences, examples, later)
            reached = float(average_precision_score(examples.fraud[later], said))
            if reached > max(history, default=-1.0):
                best_epoch, best = epoch, checkpoint.weights_of(model)
            history.append(reached)
    checkpoint.put_weights(model, best)
    model.eval()
    return LearnedSequence(model, best_epoch, tuple(history))


def score_sequences(
    model: SequenceModel, sequences: Sequences, examples: Examples, rows: Rows
) -> NDArray[np.float64]:
    """Log-odds of some examples, float64 [rows], in the order of `rows`."""
    model.eval()
    found = np.zeros(len(rows))
    with torch.no_grad():
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            steps = torch.from_numpy(sequences[part].astype(np.float32))
            context = torch.from_numpy(examples.context[part])
            found[start : start + len(part)] = model(steps, context).double().numpy()
    return found


def _epoch(
    model: SequenceModel,
    optimizer: torch.optim.Optimizer,
    sequences: Sequences,
    examples: Examples,
    order: Rows,
    settings: SequenceTraining,
) -> None:
    model.train()
    # Every example counts the same in every step, the last and shorter one of an epoch too.
    usual = float(examples.weights[order].sum()) * settings.rows / len(order)
    for start in range(0, len(order), settings.rows):
        part = order[start : start + settings.rows]
        optimizer.zero_grad()
        logits = model(
            torch.from_numpy(sequences[part].astype(np.float32)),
            torch.from_numpy(examples.context[part]),
        )
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits,
            torch.from_numpy(examples.fraud[part].astype(np.float32)),
            torch.from_numpy(examples.weights[part]),
            reduction="sum",
        )
        (loss / usual).backward()  # type: ignore[no-untyped-call]  # torch says nothing of it
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()


def _learn_scales(
    model: SequenceModel, sequences: Sequences, examples: Examples, early: Rows
) -> None:
    chosen = early[:: max(1, -(-len(early) // _SCALED_ON))]
    steps = sequences[chosen]
    model.step_scale.learn(spread([moments(steps[steps[:, :, 0] > 0][:, 1:])]))
    model.context_scale.learn(spread([moments(examples.context[early])]))


def _require_shapes(sequences: Sequences, examples: Examples, context: tuple[str, ...]) -> None:
    wanted = (len(examples), STEPS, WIDTH)
    if sequences.shape != wanted:
        raise InvalidInput(
            f"expected the shape {wanted}",
            field="sequences",
            value=str(sequences.shape),
            remedy="Cut one sequence an example.",
        )
    if examples.context.shape[1] != len(context):
        raise InvalidInput(
            f"there are {len(context)} names of columns",
            field="examples: context",
            value=str(examples.context.shape[1]),
            remedy="Name every column that is given.",
        )
