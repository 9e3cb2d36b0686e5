"""Training: history replayed into a table, and a model learned from it.

The history runs through the engine's own path, so a feature is in training what it is in serving:
computed from what was known at that moment, and from labels only once they were known.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import sklearn
import xgboost
from msgspec import structs
from numpy.typing import NDArray

from graph.errors import InvalidInput, InvalidSetting
from scorer.artefact import TrainedModel
from scorer.blend import Blend, joint_strength
from scorer.booster import Booster
from scorer.calibration import Calibration
from scorer.decision import Policy
from scorer.fitting import BoosterSettings, fit_blend, fit_booster, fit_calibration, regrow_booster
from scorer.history import LabelledTransaction
from scorer.metrics import average_precision, calibration_figures
from scorer.ports import FeatureSchema, Replayer
from scorer.ring_matching import RingLedger, TrueRing

MAX_ROWS: Final = 4_000_000
"""Labelled rows a table holds at most: 2.9 GB at 180 features."""
_FIRST_ROWS: Final = 16_384
_REPORT_EVERY: Final = 2_000

Progress = Callable[[str, int], None]
"""Called with the name of the stage and how many transactions or rounds are done."""
Rows = NDArray[np.intp]


def silent(_stage: str, _done: int) -> None:
    """A progress callback that says nothing."""


@dataclass(frozen=True, slots=True)
class Table:
    """The labelled rows of a replayed history, in arrival order; R rows, F features.

    Attributes:
        schema: The features.
        rows: float32 [R, F].
        fraud: bool [R].
        times: Event times, int64 [R].
        known_at: When each label became known, int64 [R]; the event time where that is not said.
        ring_score: Of the strongest ring touched, float64 [R].
        joint: Joint strength of the evidence completed, float64 [R].
        warm: Whether the user had been seen before as the user of a transaction, bool [R].
        places: Place of each row in the history, int64 [R].
        users: User of each row.
        ring_ids: True ring of each row, None where there is none.
        transactions: Length of the history.
        rejected: Transactions that were not accepted (duplicate, late, ahead).
        true_rings: Rings as the data names them, by id: over the whole history, not only `rows`.
        ledger: Rings as the engine told them.
    """

    schema: FeatureSchema
    rows: NDArray[np.float32]
    fraud: NDArray[np.bool_]
    times: NDArray[np.int64]
    known_at: NDArray[np.int64]
    ring_score: NDArray[np.float64]
    joint: NDArray[np.float64]
    warm: NDArray[np.bool_]
    places: NDArray[np.int64]
    users: tuple[str, ...]
    ring_ids: tuple[str | None, ...]
    transactions: int
    rejected: int
    true_rings: Mapping[str, TrueRing]
    ledger: RingLedger


def replay(
    history: Iterable[LabelledTransaction],
    replayer: Replayer,
    *,
    keep: Callable[[LabelledTransaction], bool] = lambda _: True,
    withheld: frozenset[int] = frozenset(),
    at_once: bool = False,
    progress: Progress = silent,
) -> Table:
    """Run a history through the engine and keep the labelled rows.

    Args:
        history: In arrival order.
        replayer: A fresh one.
        keep: Which labelled transactions become rows; the others still run and are learned from.
        withheld: Places in the history whose labels the engine never learns.
        at_once: Labels are known as soon as their transaction has passed, whatever their delay.
        progress: Told "replay" and the number of transactions done.

    Raises:
        InvalidInput: More than `MAX_ROWS` rows would be kept.
    """
    width = len(replayer.schema.names)
    matrix = np.empty((_FIRST_ROWS, width), dtype=np.float32)
    scratch = np.empty(width, dtype=np.float32)
    columns: list[tuple[bool, int, int, float, float, bool, int, str, str | None]] = []
    true_rings: dict[str, TrueRing] = {}
    ledger = RingLedger()
    seen: set[str] = set()
    transactions = rejected = 0
    for place, item in enumerate(history):
        transactions += 1
        if transactions % _REPORT_EVERY == 0:
            progress("replay", transactions)
        transaction = item.transaction
        used = len(columns)
        kept = item.fraud is not None and keep(item)
        if used == len(matrix):
            # In place, without a second copy; no view of it outlives an iteration.
            matrix.resize((used + used // 2, width), refcheck=False)
        signals = replayer.observe_features(transaction, matrix[used] if kept else scratch)
        ledger.note(signals.ring_events)
        if not signals.accepted:
            rejected += 1
            continue
        warm = transaction.user_id in seen
        seen.add(transaction.user_id)
        if item.ring_id is not None and item.fraud:
            true_rings.setdefault(item.ring_id, TrueRing(item.ring_id)).add(transaction)
        label = item.label
        if label is not None and place not in withheld:
            replayer.learn(
                structs.replace(label, known_at=transaction.timestamp) if at_once else label
            )
        if not kept:
            continue
        if used == MAX_ROWS:
            raise InvalidInput(
                f"more than {MAX_ROWS} labelled transactions do not fit into memory",
                field="history",
                value=f"transaction {place + 1}",
                remedy="Give dates to train and test between.",
            )
        known_at = transaction.timestamp if item.known_at is None else item.known_at
        columns.append(
            (
                bool(item.fraud),
                transaction.timestamp,
                known_at,
                signals.ring_score,
                joint_strength(signals.evidence),
                warm,
                place,
                transaction.user_id,
                item.ring_id,
            )
        )
    progress("replay", transactions)
    fraud, times, known, ring_score, joint, warm_flags, places, users, rings = (
        zip(*columns, strict=True) if columns else ((),) * 9
    )
    return Table(
        schema=replayer.schema,
        rows=matrix[: len(columns)],
        fraud=np.array(fraud, dtype=np.bool_),
        times=np.array(times, dtype=np.int64),
        known_at=np.array(known, dtype=np.int64),
        ring_score=np.array(ring_score, dtype=np.float64),
        joint=np.array(joint, dtype=np.float64),
        warm=np.array(warm_flags, dtype=np.bool_),
        places=np.array(places, dtype=np.int64),
        users=tuple(users),
        ring_ids=tuple(rings),
        transactions=transactions,
        rejected=rejected,
        true_rings=true_rings,
        ledger=ledger,
    )


def cut_by_time(times: NDArray[np.int64], *shares: float) -> list[Rows]:
    """Rows of consecutive slices that hold about these shares of the rows each.

    A moment belongs to one slice whole: rows of equal time are never on both sides of a cut.
    """
    ranked = np.sort(times)
    bounds = np.cumsum(shares)[:-1]
    last = len(ranked) - 1
    cuts = (
        [int(ranked[min(last, int(share * len(ranked)))]) for share in bounds] if last >= 0 else []
    )
    slices = np.searchsorted(np.array(cuts, dtype=np.int64), times, side="right")
    return [np.flatnonzero(slices == index) for index in range(len(shares))]


@dataclass(frozen=True, slots=True)
class Learned:
    """What one rung learned: the trees on some columns, and what their margin means.

    Attributes:
        columns: Columns of the table it uses.
        booster: The trees.
        calibration: From margin to probability.
        blend: From probability, ring and evidence to probability.
        later_scores: Probabilities of the later rows by the trees that had not seen them.
    """

    columns: Rows
    booster: Booster
    calibration: Calibration
    blend: Blend
    later_scores: NDArray[np.float64]

    def margins(self, table: Table, rows: Rows) -> NDArray[np.float32]:
        """Margins of some rows, float32."""
        return self.booster.margins(_part(table, rows, self.columns))

    def probabilities(self, table: Table, rows: Rows) -> NDArray[np.float64]:
        """Calibrated probabilities of some rows, before the blend."""
        return np.array([self.calibration.apply(float(m)) for m in self.margins(table, rows)])

    def blended(self, table: Table, rows: Rows) -> NDArray[np.float64]:
        """Probabilities of some rows after the blend: what a verdict would have said."""
        log_odds = [self.calibration.log_odds(float(m)) for m in self.margins(table, rows)]
        parts = zip(log_odds, table.ring_score[rows], table.joint[rows], strict=True)
        return np.array([self.blend.combine(m, float(r), float(j)) for m, r, j in parts])


def learn_from(
    table: Table,
    early: Rows,
    later: Rows,
    columns: Rows,
    settings: BoosterSettings,
    seed: int,
) -> Learned:
    """Learn on the early rows what to ask the later ones, then grow the trees on both.

    Trees grown on the early rows are stopped, calibrated and blended on the later ones, which
    they have not seen. Then as many trees are grown on both: what is newest is most like what is
    to come. Calibration and blend are kept; the regrown trees know the later rows by heart.

    Raises:
        InvalidSetting: One of the slices lacks fraud or legitimate transactions.
    """
    names = tuple(table.schema.names[index] for index in columns)
    later_rows, later_fraud = _part(table, later, columns), table.fraud[later]
    first = fit_booster(
        _part(table, early, columns),
        table.fraud[early],
        later_rows,
        later_fraud,
        names,
        settings,
        seed,
    )
    margins = first.margins(later_rows)
    calibration = fit_calibration(margins, later_fraud)
    log_odds = np.array([calibration.log_odds(float(margin)) for margin in margins])
    ring_score, joint = table.ring_score[later], table.joint[later]
    blend = fit_blend(log_odds, ring_score, joint, later_fraud)
    parts = zip(log_odds, ring_score, joint, strict=True)
    scores = np.array([blend.combine(float(m), float(r), float(j)) for m, r, j in parts])
    both = np.sort(np.concatenate([early, later]))
    booster = regrow_booster(
        _part(table, both, columns), table.fraud[both], names, settings, seed, first.tree_count
    )
    return Learned(columns, booster, calibration, blend, scores)


def _part(table: Table, rows: Rows, columns: Rows) -> NDArray[np.float32]:
    chosen = table.rows[rows]
    return chosen if len(columns) == chosen.shape[1] else chosen[:, columns]


def train(
    history: Iterable[LabelledTransaction],
    replayer: Replayer,
    *,
    policy: Policy | None = None,
    settings: BoosterSettings | None = None,
    seed: int = 0,
    created: str = "",
    data: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> TrainedModel:
    """Learn a model from a whole history; its last 20 % says when to stop and what margins mean.

    Args:
        history: In arrival order.
        replayer: A fresh one.
        policy: What the model's verdicts decide by; the default costs if left out.
        settings: How trees are grown; the defaults if left out.
        seed: Of everything random; equal history and seed give an equal model.
        created: When it is trained, RFC 3339.
        data: What the history is, for the metadata; the counts are added.
        progress: Told each stage and how far it is.

    Raises:
        InvalidInput: The history holds no labels, or too many for memory.
        InvalidSetting: One of the two slices lacks fraud or legitimate transactions.
    """
    table = replay(history, replayer, progress=progress)
    require_labels(table)
    early, later = cut_by_time(table.times, 0.8, 0.2)
    progress("learn", 0)
    learned = learn_from(
        table,
        early,
        later,
        table.schema.columns(graph=True),
        settings or BoosterSettings(),
        seed,
    )
    scores = learned.later_scores
    figures = calibration_figures(scores, table.fraud[later])
    progress("learn", learned.booster.tree_count)
    return TrainedModel(
        schema=table.schema,
        booster=learned.booster,
        calibration=learned.calibration,
        blend=learned.blend,
        policy=policy or Policy(),
        seed=seed,
        created=created,
        metrics={
            # Of the slice on which it was stopped and calibrated: `evaluate` gives honest ones.
            "later_slice": {
                "transactions": len(later),
                "positives": int(table.fraud[later].sum()),
                "average_precision": average_precision(scores, table.fraud[later]),
                "brier": figures["brier"],
            },
            "trees": learned.booster.tree_count,
        },
        data=dict(data or {}) | describe(table),
        versions={
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
            "xgboost": xgboost.__version__,
        },
    )


def describe(table: Table) -> dict[str, Any]:
    """How much a history held: counts and its first and last labelled moment, epoch ms."""
    return {
        "transactions": table.transactions,
        "rejected": table.rejected,
        "labelled": len(table.fraud),
        "frauds": int(table.fraud.sum()),
        "rings": len(table.true_rings),
        "from": int(table.times.min()) if len(table.times) else None,
        "until": int(table.times.max()) if len(table.times) else None,
    }


def require_labels(table: Table) -> None:
    """Refuse a history that nothing can be learned from.

    Raises:
        InvalidInput: It holds no label at all.
        InvalidSetting: All labels say the same.
    """
    if not len(table.fraud):
        raise InvalidInput(
            "no transaction has a label",
            field="history",
            value=f"{table.transactions} transactions",
            remedy="Name the label column and its values in the mapping.",
        )
    if table.fraud.all() or not table.fraud.any():
        raise InvalidSetting(
            "all labels say the same",
            field="history",
            value=f"{int(table.fraud.sum())} frauds of {len(table.fraud)} labelled",
            remedy="Check the values of the label column in the mapping.",
        )
