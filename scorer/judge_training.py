"""Teaching the judge of evidence.

It begins with the starter (`scorer.starter`), taught on simulated cities, and grows trees onto it
that correct it by the labels of the past. What the corrected one's weights would have been *on* the
past is asked of others that have not seen the ring or the centre in question: else everything
learned from rings would learn from answers known by heart.

From which probability on evidence bears a ring and a ring is told is the starter's, or, where that
pays on the past, the pair under which its rings have the best F1 against the true ones. It pays if
it is better by more than the standard error of a share of so many rings; so must corrections, or,
where the data names too few rings for that, have the better average precision over the pieces.
Else, or where the labels say too little, the starter stands: it has seen more rings than most
histories hold, and a pair or a correction that wins by two rings of eighty has lost four of twenty.

The judge of rings is not taught by one history, but it too has to show itself there: another
likelihood to tell from, or the score alone, takes its place where that pays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Final, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from graph.ring_policy import RingPolicy
from scorer.beside import begin
from scorer.booster import Booster
from scorer.evidence_context import NAMES
from scorer.evidence_judge import EvidenceJudge, column_of, ring_policy
from scorer.evidence_log import EvidenceLog
from scorer.fitting import BoosterSettings, regrow_booster
from scorer.judge_lessons import Lesson, lesson_of, rows_of
from scorer.metrics import average_precision
from scorer.odds import sigmoid
from scorer.ring_judge_training import BOUNDS, f1s_from
from scorer.ring_matching import TrueRing, f1_of
from scorer.ring_pass import rings_of, weighed, with_rings
from scorer.starter import starter
from scorer.table import NO_ROWS, Rows, Table

FOLDS: Final = 3
LEAST_PIECES: Final = 20
"""Pieces about fraud from which there is something to learn."""
LEAST_GROUPS: Final = 2 * FOLDS
"""Rings or centres that they must come from."""
LEAST_RINGS: Final = 10
"""True rings from which the bounds are chosen rather than taken from the starter."""
TREES: Final = 100
SETTINGS: Final = BoosterSettings(
    depth=5, learning_rate=0.05, min_child_weight=1.0, feature_share=0.4
)
STARTER_SETTINGS: Final = replace(SETTINGS, depth=7, learning_rate=0.1, feature_share=0.2)
"""Eighteen cities teach more than trees of depth 5 in steps of .05 can hold."""
STANDARD_ERROR: Final = 0.5
"""Of a share, over the root of the number of what it is a share of: at most."""
BIRTHS: Final = (0.2, 0.5, 0.65, 0.8)
ALERTS: Final = (0.2, 0.35, 0.5, 0.65, 0.8, 0.85, 0.9, 0.95)
"""The starter's bounds are of these, as those that `teach` chooses."""
Bounds = tuple[float, float]
"""Birth and alert."""


class Past(NamedTuple):
    """What a history told.

    Attributes:
        told: Its evidence, `weighed`.
        rings: The rings that there were.
        apart: Those that count neither way.
    """

    told: EvidenceLog
    rings: Sequence[TrueRing]
    apart: Sequence[TrueRing] = ()


@dataclass(frozen=True, slots=True)
class Taught:
    """A judge, and what the evidence of the history weighs.

    Attributes:
        judge: Learned from all of the past.
        weights: float64 [pieces]: on the past those of judges that had not seen the piece's group,
            elsewhere the judge's own.
    """

    judge: EvidenceJudge
    weights: NDArray[np.float64]


def teach(
    table: Table, past: Rows, policy: RingPolicy, seed: int, left_out: Rows = NO_ROWS
) -> Taught:
    """Teach a judge from the labelled evidence of the past.

    Args:
        table: Of a replay without a judge.
        past: Rows whose labels may be learned from.
        policy: For all but the judge's bounds.
        seed: Of the trees.
        left_out: Rows that may not, though they are of the same time (`Split.left_out`).
    """
    began, log = starter(), table.evidence
    rows = rows_of(log, began.facts)
    lesson = lesson_of(table, past, rows, left_out)
    plain = _probabilities(began.booster, rows)
    frauds = lesson.fraud
    says_little = frauds.sum() < LEAST_PIECES or frauds.all()
    if says_little or len(set(lesson.groups[frauds])) < LEAST_GROUPS:
        return Taught(began, plain)
    correcting = begin(lambda: _corrections(began, lesson, rows, seed))
    if len(lesson.rings) < LEAST_RINGS:
        booster, weights = correcting()
        pays = _ranks(lesson, weights) > _ranks(lesson, plain)
        return Taught(replace(began, booster=booster), weights) if pays else Taught(began, plain)
    known = _known(log, plain, lesson)
    f1s = ring_f1s([Past(known, lesson.rings, lesson.apart)], policy)
    booster, weights = correcting()
    judge, kept, told, stands = began, plain, known, f1s[began.birth, began.alert]
    doubt = STANDARD_ERROR / sqrt(len(lesson.rings))
    corrected = _known(log, weights, lesson)
    corrected_f1s = ring_f1s([Past(corrected, lesson.rings, lesson.apart)], policy)
    for trees, its, its_told, theirs in (
        (began.booster, plain, known, f1s),
        (booster, weights, corrected, corrected_f1s),
    ):
        birth, alert = best_bounds(theirs)
        if theirs[birth, alert] > stands + doubt:
            judge = replace(began, booster=trees, birth=birth, alert=alert)
            kept, told, stands = its, its_told, theirs[birth, alert]
    return Taught(telling(judge, told, lesson, policy), kept)


def telling(
    judge: EvidenceJudge, past: EvidenceLog, lesson: Lesson, policy: RingPolicy
) -> EvidenceJudge:
    """The judge with the bound of its judge of rings, or without that one, as pays on the past.

    Args:
        judge: With its own bounds.
        past: What it told, `weighed`.
        lesson: Whose rings are known.
        policy: For all but the bounds.
    """
    if judge.of_rings is None:
        return judge
    rule, began = judge.rings(policy), judge.of_rings.told
    whole = replace(rule, alert_likelihood=min(*BOUNDS, began))
    found = [rings_of(past, whole, judge.likelihood).told()]
    f1s = f1s_from((*BOUNDS, began), found, [lesson.rings], [lesson.apart])
    score = ring_policy(policy, judge.birth, judge.alert)
    alone = f1_of([rings_of(past, score).told()], [lesson.rings], [lesson.apart])
    bound = max(f1s, key=lambda each: (f1s[each], each))
    stands = f1s[began] + STANDARD_ERROR / sqrt(len(lesson.rings))
    if max(alone, f1s[bound]) <= stands:
        return judge
    of_rings = replace(judge.of_rings, told=bound) if f1s[bound] >= alone else None
    return replace(judge, of_rings=of_rings)


def _corrections(
    began: EvidenceJudge, lesson: Lesson, rows: NDArray[np.float32], seed: int
) -> tuple[Booster, NDArray[np.float64]]:
    """Trees corrected by the whole lesson, and what all evidence weighs: `Taught.weights`."""
    frauds = lesson.fraud
    booster = _corrected(began, lesson, np.arange(len(frauds)), seed)
    weights = _probabilities(booster, rows)
    folds = np.array([xxhash.xxh32_intdigest(group.encode()) % FOLDS for group in lesson.groups])
    for fold in range(FOLDS):
        others, mine = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if len(mine) and frauds[others].any() and not frauds[others].all():
            unseen = _corrected(began, lesson, others, seed)
            weights[lesson.numbers[mine]] = _probabilities(unseen, lesson.rows[mine])
    return booster, weights


def _corrected(began: EvidenceJudge, lesson: Lesson, chosen: Rows, seed: int) -> Booster:
    names, own = (*NAMES, *map(column_of, began.facts)), lesson.fraud[chosen]
    rows = lesson.rows[chosen]
    return regrow_booster(rows, own, names, SETTINGS, seed, TREES, onto=began.booster)


def _ranks(lesson: Lesson, weights: NDArray[np.float64]) -> float:
    return average_precision(weights[lesson.numbers], lesson.fraud)


def judged_table(
    table: Table, past: Rows, policy: RingPolicy, seed: int, left_out: Rows = NO_ROWS
) -> tuple[Table, EvidenceJudge]:
    """The table as a judge taught by its past would have made it, and the judge.

    Args:
        table: Of a replay without a judge; its ring scores are changed in place.
        past: Rows whose labels may be learned from.
        policy: For rings, without a judge.
        seed: Of the trees.
        left_out: As for `teach`.
    """
    taught = teach(table, past, policy, seed, left_out)
    return as_judged(table, taught, policy), taught.judge


def as_judged(table: Table, taught: Taught, policy: RingPolicy) -> Table:
    """The table as a judge would have made it.

    Args:
        table: Of a replay without a judge; its ring scores are changed in place.
        taught: The judge.
        policy: For rings, without a judge.
    """
    evidence = weighed(table.evidence, taught.weights)
    return with_rings(table, evidence, taught.judge.rings(policy))


def starter_of(lessons: list[Lesson], facts: tuple[str, ...], seed: int, trees: int) -> Booster:
    """Trees that begin from nothing, taught by the lessons of many histories.

    Every ring counts the same, however often it was told of: a card testing of fifty attempts is
    told fifty times.

    Args:
        lessons: With the same columns.
        facts: The facts among them.
        seed: Of the trees.
        trees: How many.
    """
    names = (*NAMES, *map(column_of, facts))
    rows = np.vstack([lesson.rows for lesson in lessons])
    fraud = np.concatenate([lesson.fraud for lesson in lessons])
    weights = np.concatenate([_ring_weights(lesson) for lesson in lessons])
    return regrow_booster(rows, fraud, names, STARTER_SETTINGS, seed, trees, weights)


def _ring_weights(lesson: Lesson) -> NDArray[np.float32]:
    """1 for each piece in the mean, the same in sum for each ring, float32 [P]."""
    weights = np.ones(len(lesson.fraud), np.float32)
    _, ring, told = np.unique(lesson.groups[lesson.fraud], return_inverse=True, return_counts=True)
    if len(told):
        weights[lesson.fraud] = (len(ring) / len(told) / told)[ring]
    return weights


def weights_by(judge: EvidenceJudge, log: EvidenceLog) -> NDArray[np.float64]:
    """What a given judge makes of all evidence, float64 [pieces]."""
    return _probabilities(judge.booster, rows_of(log, judge.facts))


def ring_f1s(pasts: Sequence[Past], policy: RingPolicy) -> dict[Bounds, float]:
    """F1 of the rings of all pasts together, as told with each pair of `BIRTHS` and `ALERTS`.

    Which rings are no news beside others is taken from telling everything from birth on: with a
    higher `alert` a few are told that are left out here. To replay each pair would take six times
    as long; of the best five pairs on the starter's four cities it gave the same order.

    Args:
        pasts: Of each the evidence, up to where its past reaches, and the rings of that.
        policy: For all but the bounds.
    """
    true, apart = [past.rings for past in pasts], [past.apart for past in pasts]
    f1s = {}
    for birth in BIRTHS:
        # Everything is told that is not in a ring that was; who would not have been is left out.
        whole = ring_policy(policy, birth, birth)
        found = [rings_of(past.told, whole).told() for past in pasts]
        for alert in ALERTS:
            if alert >= birth:
                told = [[ring for ring in some if ring.peak >= alert] for some in found]
                f1s[birth, alert] = f1_of(told, true, apart)
    return f1s


def _known(log: EvidenceLog, weights: NDArray[np.float64], lesson: Lesson) -> EvidenceLog:
    """The evidence up to where the lesson reaches, as it weighs."""
    return EvidenceLog([each for each in weighed(log, weights).told if each.place <= lesson.until])


def best_bounds(f1s: Mapping[Bounds, float]) -> Bounds:
    """The pair under which rings are told best; of equals the strictest."""
    return max(f1s, key=lambda bounds: (f1s[bounds], bounds))


def _probabilities(booster: Booster, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.array([sigmoid(margin) for margin in booster.margins(rows).tolist()])
