"""Learning the ring model from a recorded history.

The neighbourhoods were sampled while the history was replayed, by the code that samples in
service. An epoch goes over the ticks in an order drawn from seed and epoch; after each, the average
precision on a later slice says whether to go on. On one machine, the same recording, settings and
seed give the same weights, with or without a kill between two epochs.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from gnn import checkpoint
from gnn.checkpoint import Progress
from gnn.examples import Examples, Extras, by_tick, no_extras
from gnn.hetero import batch, to_hetero
from gnn.learning import must_be_positive, use_one_thread
from gnn.model import ModelSettings, RingModel, Statistics
from gnn.schema import EDGE_KINDS, NODE_KINDS, PARTIES, GraphSchema, name_of
from gnn.spool import Spool, Tick
from gnn.tensors import widened
from graph.errors import InvalidSetting
from graph.transaction import HOUR

Rows = NDArray[np.intp]
Told = Callable[[str, int], None]
"""Called with the name of the stage and how many ticks are done."""

_SCALED_ON: Final = 64
"""Ticks that say what is usual, spread over those learned from."""


def silent(_stage: str, _done: int) -> None:
    """A progress callback that says nothing."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a model learns.

    Attributes:
        epochs: Most of them.
        patience: Epochs without a better later slice after which it ends.
        rate: Of AdamW.
        decay: Weight decay.
        ticks: Ticks a step.
        clip: Longest gradient.

    Raises:
        InvalidSetting: A number is not positive.
    """

    epochs: int = 30
    patience: int = 5
    rate: float = 3e-3
    decay: float = 1e-3
    ticks: int = 4
    clip: float = 1.0

    def __post_init__(self) -> None:
        must_be_positive(self, "training")


class Learned(NamedTuple):
    """A model, and how it came about.

    Attributes:
        model: With the weights of the best epoch, in evaluation mode.
        best_epoch: Which one that was, from 1.
        history: Average precision on the later slice after each epoch.
    """

    model: RingModel
    best_epoch: int
    history: tuple[float, ...]


class Ticks:
    """Ticks of a spool as tensors, with their examples.

    Args:
        spool: The recording.
        examples: Labelled transactions of it.
        schema: All columns.
        extras: The caller's columns at a tick.
        device: Where tensors go.
    """

    def __init__(
        self,
        spool: Spool,
        examples: Examples,
        schema: GraphSchema,
        extras: Extras,
        device: torch.device,
    ) -> None:
        if examples.context.shape[1] != len(schema.context):
            raise InvalidSetting(
                f"the schema names {len(schema.context)} columns of context",
                field="examples: context",
                value=str(examples.context.shape[1]),
                remedy="Name every column that is given.",
            )
        self.spool = spool
        self.examples = examples
        self.schema = schema
        self.device = device
        self.of_tick: Final = by_tick(spool, examples)
        self._extras = extras

    def holding(self, rows: Rows) -> NDArray[np.intp]:
        """Numbers of the ticks that hold some of these examples."""
        wanted = self._flags(rows)
        return np.array([n for n in range(len(self.of_tick)) if self._in(n, wanted).any()], np.intp)

    def _flags(self, rows: Rows) -> NDArray[np.bool_]:
        flags = np.zeros(len(self.examples) + 1, np.bool_)  # the last one is that of -1: none
        flags[rows] = True
        return flags

    def _in(self, number: int, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = flags[self.of_tick[number]]
        return found

    def features(self, tick: Tick) -> dict[str, NDArray[np.float32]]:
        """Node features of a tick with the caller's columns."""
        return widened(tick.subgraph, self.schema, *self._extras(tick))

    def logits(self, model: RingModel, number: int, rows: Rows) -> tuple[NDArray[np.int64], Tensor]:
        """Some of the examples in a tick, and their log-odds."""
        tick = self.spool.tick(number, graph=model.settings.convolution != "none")
        wanted = self._in(number, self._flags(rows))
        chosen = self.of_tick[number][wanted]
        age = np.log1p(tick.ages[wanted] / HOUR).astype(np.float32)[:, None]
        members = torch.from_numpy(tick.members[wanted]).long().to(self.device)
        logits: Tensor = model.head(
            *looked_up(self._embedded(model, tick), members),
            torch.from_numpy(age).to(self.device),
            torch.from_numpy(self.examples.context[chosen]).to(self.device),
        )
        return chosen, logits

    def _embedded(self, model: RingModel, tick: Tick) -> Tensor:
        width = model.settings.embedding
        if model.settings.convolution == "none":
            named = int(tick.members.max(initial=-1)) + 1
            return torch.zeros(named, width, device=self.device)
        data = to_hetero(tick.subgraph, self.features(tick))
        embedded = model.encoder(*batch(data.to(self.device)))
        return torch.cat([embedded[kind] for kind in NODE_KINDS])


def looked_up(embedded: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings of the parties side by side, and who is there.

    Shape: [S, D] and int64 [R, 5] to [R, 5 * D] and [R, 5].
    """
    there = (members >= 0).to(embedded.dtype)
    padded = torch.cat([embedded, embedded.new_zeros(1, embedded.shape[1])])
    chosen = torch.where(members >= 0, members, len(embedded))
    return padded[chosen].reshape(len(members), len(PARTIES) * embedded.shape[1]), there


def train(
    spool: Spool,
    examples: Examples,
    early: Rows,
    later: Rows,
    *,
    schema: GraphSchema = GraphSchema(),
    extras: Extras = no_extras,
    shape: ModelSettings = ModelSettings(),
    settings: TrainingSettings = TrainingSettings(),
    seed: int = 0,
    folder: Path | None = None,
    device: str | None = None,
    told: Told = silent,
) -> Learned:
    """Learn a model on the early examples, stopped by the later ones.

    Args:
        spool: The recording.
        examples: Labelled transactions of it.
        early: Which of them are learned from.
        later: Which of them say when to stop.
        schema: All columns.
        extras: The caller's columns at a tick.
        shape: Of the model.
        settings: How it learns.
        seed: Of everything random.
        folder: Where each epoch is kept; if it holds one of the same run, training goes on there.
        device: "cpu", "cuda"; if left out, the GPU where there is one.
        told: Told "gnn" and the number of ticks done.

    Raises:
        InvalidSetting: One of the slices lacks fraud or legitimate transactions.
        Incompatible: The folder holds another run.
    """
    for name, rows in (("early", early), ("later", later)):
        require_both(name, examples.fraud[rows])
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    ticks = Ticks(spool, examples, schema, extras, where)
    of_early, of_later = ticks.holding(early), ticks.holding(later)
    use_one_thread(where)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = RingModel(schema, shape)
        model.learn_scales(_statistics(ticks, of_early, early))
        model.to(where)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.rate, weight_decay=settings.decay
        )
        run = _run(spool, examples, early, later, schema, shape, settings, seed)
        progress, best = Progress(), checkpoint.weights_of(model)
        found = None if folder is None else checkpoint.resume(folder, run, model, optimizer)
        if found is not None:
            progress, best = found
        done = progress.epoch * (len(of_early) + len(of_later))
        while (
            progress.epoch < settings.epochs
            and progress.epoch - progress.best_epoch < settings.patience
        ):
            epoch = progress.epoch + 1
            # From seed and epoch alone, so that a resumed run draws what the whole one would have.
            torch.manual_seed(seed * 1_000_003 + epoch)
            order = np.random.default_rng((seed, epoch)).permutation(of_early)
            _epoch(ticks, model, optimizer, order, early, settings)
            reached = float(
                average_precision_score(
                    examples.fraud[later], score_rows(ticks, model, later, of_later)
                )
            )
            if reached > max(progress.history, default=-1.0):
                best = checkpoint.weights_of(model)
                progress = Progress(epoch, epoch, (*progress.history, reached))
            else:
                progress = Progress(epoch, progress.best_epoch, (*progress.history, reached))
            if folder is not None:
                checkpoint.save(folder, run, progress, model, optimizer, best)
            done += len(of_early) + len(of_later)
            told("gnn", done)
    checkpoint.put_weights(model, best)
    model.eval()
    return Learned(model, progress.best_epoch, progress.history)


def score(
    model: RingModel, spool: Spool, examples: Examples, rows: Rows, extras: Extras = no_extras
) -> NDArray[np.float64]:
    """Log-odds of some examples, in the order of `rows`."""
    device = next(model.parameters()).device
    ticks = Ticks(spool, examples, model.schema, extras, device)
    return score_rows(ticks, model, rows, ticks.holding(rows))


def score_rows(
    ticks: Ticks, model: RingModel, rows: Rows, numbers: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Log-odds of some examples, of which the ticks are known."""
    model.eval()
    found = np.full(len(ticks.examples), np.nan)
    with torch.no_grad():
        for number in numbers:
            chosen, logits = ticks.logits(model, int(number), rows)
            found[chosen] = logits.double().cpu().numpy()
    answer: NDArray[np.float64] = found[rows]
    return answer


def _epoch(
    ticks: Ticks,
    model: RingModel,
    optimizer: torch.optim.Optimizer,
    order: NDArray[np.intp],
    early: Rows,
    settings: TrainingSettings,
) -> None:
    model.train()
    examples = ticks.examples
    # Every example counts the same in every step, however many its tick has.
    usual = float(examples.weights[early].sum()) * settings.ticks / len(order)
    for start in range(0, len(order), settings.ticks):
        optimizer.zero_grad()
        for number in order[start : start + settings.ticks]:
            chosen, logits = ticks.logits(model, int(number), early)
            fraud = torch.from_numpy(examples.fraud[chosen].astype(np.float32)).to(logits.device)
            weights = torch.from_numpy(examples.weights[chosen]).to(logits.device)
            loss = nn.functional.binary_cross_entropy_with_logits(
                logits, fraud, weights, reduction="sum"
            )
            (loss / usual).backward()  # type: ignore[no-untyped-call]  # torch says nothing of it
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()


def _statistics(ticks: Ticks, numbers: NDArray[np.intp], early: Rows) -> Statistics:
    """Mean and deviation of every column over some of the ticks that are learned from."""
    chosen = numbers[:: max(1, len(numbers) // _SCALED_ON)]
    nodes: dict[str, list[Any]] = {kind: [] for kind in NODE_KINDS}
    edges: dict[str, list[Any]] = {name_of(kind): [] for kind in EDGE_KINDS}
    for number in chosen:
        tick = ticks.spool.tick(int(number))
        for kind, columns in ticks.features(tick).items():
            nodes[kind].append(moments(columns))
        for edge_kind in EDGE_KINDS:
            edges[name_of(edge_kind)].append(moments(tick.subgraph.edges[edge_kind].features))
    return Statistics(
        {kind: spread(found) for kind, found in nodes.items()},
        {name: spread(found) for name, found in edges.items()},
        spread([moments(ticks.examples.context[early])]),
    )


def moments(columns: NDArray[Any]) -> NDArray[np.float64]:
    """Of columns [N, F], float64 [3, F]: how many are known, their sum and their sum of squares."""
    wide = columns.astype(np.float64)
    known = ~np.isnan(wide)
    wide = np.where(known, wide, 0.0)
    return np.stack([known.sum(axis=0), wide.sum(axis=0), (wide**2).sum(axis=0)])


def spread(parts: list[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Mean and deviation over all parts, float32 [2, F], from the `moments` of each."""
    count, total, squares = np.sum(parts, axis=0)
    mean = total / np.maximum(count, 1.0)
    variance = np.maximum(squares / np.maximum(count, 1.0) - mean**2, 0.0)
    return np.stack([mean, np.sqrt(variance)]).astype(np.float32)


def require_both(name: str, fraud: NDArray[np.bool_]) -> None:
    """Check that there is something to learn.

    Raises:
        InvalidSetting: The slice of this name lacks fraud or legitimate transactions.
    """
    if not (fraud.any() and (~fraud).any()):
        raise InvalidSetting(
            "it needs fraud and legitimate transactions",
            field=f"{name} slice",
            value=f"{int(fraud.sum())} of {len(fraud)} fraud",
            remedy="Give a longer history.",
        )


def _run(
    spool: Spool,
    examples: Examples,
    early: Rows,
    later: Rows,
    schema: GraphSchema,
    shape: ModelSettings,
    settings: TrainingSettings,
    seed: int,
) -> str:
    """Hash of everything the result depends on, but for the number of epochs."""
    said = asdict(shape), asdict(settings) | {"epochs": 0}, schema.hash, seed
    digest = xxhash.xxh3_64(msgspec.json.encode(said))
    columns = (examples.places, examples.fraud, examples.weights, examples.context, early, later)
    for column in (*columns, spool.moments, spool.kept):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()
