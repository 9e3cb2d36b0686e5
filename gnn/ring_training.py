"""Learning the ring head from rings of a labelled history.

Examples are graphs of rings at some of their revisions, each ring counting the same however many of
its revisions there are. After each epoch the log loss on the later examples says whether to go on:
there are tens of them, and average precision over tens jumps. Equal examples, settings and seed
give equal weights on one machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gnn.checkpoint import put_weights, weights_of
from gnn.learning import must_be_positive, use_one_thread
from gnn.ring_columns import RingColumns, feed
from gnn.ring_head import RingHead, RingHeadSettings, RingTensors, tensors
from graph.errors import InvalidSetting

Rows = NDArray[np.intp]
AT_ONCE: Final = 256
"""Rings scored in one run."""


@dataclass(frozen=True, slots=True)
class RingTrainingSettings:
    """How a ring head learns.

    Attributes:
        epochs: Most of them.
        patience: Epochs without a better later slice after which it ends.
        rate: Of AdamW.
        decay: Weight decay.
        rings: Rings a step.

    Raises:
        InvalidSetting: A number is not positive.
    """

    epochs: int = 60
    patience: int = 10
    rate: float = 3e-3
    decay: float = 1e-2
    rings: int = 32

    def __post_init__(self) -> None:
        must_be_positive(self, "ring training")


@dataclass(frozen=True, slots=True)
class RingExamples:
    """Labelled graphs of rings; N of them.

    Attributes:
        rings: The columns of a ring at a revision each.
        fraud: Whether it was a true ring then, bool [N].
        groups: Which ring each is a revision of, int64 [N].
    """

    rings: Sequence[RingColumns]
    fraud: NDArray[np.bool_]
    groups: NDArray[np.int64]

    def weights(self, rows: Rows) -> NDArray[np.float32]:
        """One in the mean, the same in sum for each ring, float32 [rows]."""
        _, ring, counts = np.unique(self.groups[rows], return_inverse=True, return_counts=True)
        found: NDArray[np.float64] = len(ring) / len(counts) / counts[ring]
        return found.astype(np.float32)


class LearnedRingHead(NamedTuple):
    """A head, and how it came about.

    Attributes:
        head: With the weights of the best epoch, in evaluation mode.
        best_epoch: Which one that was, from 1.
        history: Log loss on the later examples after each epoch.
    """

    head: RingHead
    best_epoch: int
    history: tuple[float, ...]


def train_head(
    examples: RingExamples,
    early: Rows,
    later: Rows,
    *,
    shape: RingHeadSettings = RingHeadSettings(),
    settings: RingTrainingSettings = RingTrainingSettings(),
    seed: int = 0,
) -> LearnedRingHead:
    """Learn a head on the early examples, stopped by the later ones.

    Args:
        examples: Labelled graphs.
        early: Which of them are learned from.
        later: Which of them say when to stop.
        shape: Of the head.
        settings: How it learns.
        seed: Of everything random.

    Raises:
        InvalidSetting: One of the slices lacks true or false rings.
    """
    for name, rows in (("early", early), ("later", later)):
        _require_both(name, examples.fraud[rows])
    use_one_thread(torch.device("cpu"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = RingHead(shape)
        head.learn_scales(feed([examples.rings[n] for n in early.tolist()]))
        optimizer = torch.optim.AdamW(
            head.parameters(), lr=settings.rate, weight_decay=settings.decay
        )
        weights = np.zeros(len(examples.rings), np.float32)
        weights[early], best, history = examples.weights(early), weights_of(head), list[float]()
        stops, counted = _tensors(examples, later), torch.from_numpy(examples.weights(later))
        best_epoch, rng = 0, np.random.default_rng(seed)
        while len(history) < settings.epochs and len(history) - best_epoch < settings.patience:
            head.train()
            order = rng.permutation(early)
            for start in range(0, len(order), settings.rings):
                rows = order[start : start + settings.rings]
                optimizer.zero_grad()
                loss = _loss(head, examples, rows, _tensors(examples, rows), weights[rows])
                loss.backward()  # type: ignore[no-untyped-call]  # torch says nothing of it
                nn.utils.clip_grad_norm_(head.parameters(), 1.0)
                optimizer.step()
            head.eval()
            with torch.no_grad():
                reached = float(_loss(head, examples, later, stops, counted.numpy()))
            if reached < min(history, default=np.inf):
                best, best_epoch = weights_of(head), len(history) + 1
            history.append(reached)
    put_weights(head, best)
    head.eval()
    return LearnedRingHead(head, best_epoch, tuple(history))


def score_rings(head: RingHead, rings: Sequence[RingColumns]) -> NDArray[np.float64]:
    """Log-odds of some rings by torch, float64 [N]."""
    head.eval()
    found = [np.zeros(0)]
    with torch.no_grad():
        for start in range(0, len(rings), AT_ONCE):
            inputs = tensors(feed(rings[start : start + AT_ONCE]))
            found.append(head(*inputs).double().numpy())
    return np.concatenate(found)


def _tensors(examples: RingExamples, rows: Rows) -> RingTensors:
    return tensors(feed([examples.rings[n] for n in rows.tolist()]))


def _loss(
    head: RingHead,
    examples: RingExamples,
    rows: Rows,
    inputs: RingTensors,
    weights: NDArray[np.float32],
) -> torch.Tensor:
    fraud = torch.from_numpy(examples.fraud[rows].astype(np.float32))
    return nn.functional.binary_cross_entropy_with_logits(
        head(*inputs), fraud, torch.from_numpy(weights)
    )


def _require_both(name: str, fraud: NDArray[np.bool_]) -> None:
    if not (fraud.any() and (~fraud).any()):
        raise InvalidSetting(
            "it needs true and false rings",
            field=f"{name} rings",
            value=f"{int(fraud.sum())} of {len(fraud)} true",
            remedy="Give a longer history.",
        )
