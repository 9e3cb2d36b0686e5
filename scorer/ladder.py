"""The ladder: whatever else could have been learned from the same rows, and what it would add.

Its first rungs are those of every evaluation (`tabular`, `graph`, `memory`, `blend`, and `starter`
where that serves). More are handed in behind `Rung`: other learners, other ways with rare fraud,
and what other packages learn. Each names the rung it is measured against, and is compared with that
one and with the best before it by the paired bootstrap that draws rings whole (`scorer.metrics`).

That bootstrap draws test rows anew, never the training: where history drifts, trees of another
seed can differ by more than its intervals are wide. So controls, which are a rung again with
another seed, stand on the ladder too, and a gain that none of them exceeds is told from one that
another seed would have given.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from graph.errors import InvalidSetting
from scorer.edge_gain import edge_gain
from scorer.history_replay import Progress
from scorer.metrics import (
    RESAMPLES,
    Flags,
    Ranking,
    Scores,
    calibration_figures,
    clusters_of,
    gain,
    interval,
    recall_at_precision,
    resampled_average_precision,
)
from scorer.splits import Split
from scorer.table import Table
from scorer.wording import plain_interval, points, signed_interval

Clock = Callable[[], float]
"""Seconds since some moment; the core has no clock of its own."""

BASES: Final[Mapping[str, tuple[str, str | None]]] = MappingProxyType(
    {
        "tabular": ("the tabular XGBoost", None),
        "graph": ("XGBoost with streaming graph features", "tabular"),
        "starter": ("trees that begin with those of other cities", "graph"),
        "memory": ("the same with recent scores remembered", "starter"),
        "blend": ("the blend with rings and evidence", "memory"),
    }
)
"""Rungs of every evaluation (`starter` only where it serves): what sentences call them, and what
they are measured against."""


class RungScores(NamedTuple):
    """What a rung says of the test, and of itself.

    Attributes:
        scores: Calibrated probabilities of the test rows, float64 [R].
        facts: What else it found, plain JSON values.
        sentences: The same for people, beside the sentence on its gain.
        control: Whether it is its base but for chance (another seed): what it gains or loses is
            what any gain has to exceed.
        shuffles: Name of the rung that this one is with its edges shuffled, None where it is none.
            Such a twin is no candidate: it says what of the other's gain its edges bear.
    """

    scores: Scores
    facts: Mapping[str, Any] = MappingProxyType({})
    sentences: tuple[str, ...] = ()
    control: bool = False
    shuffles: str | None = None


class Rung(Protocol):
    """Something that learns from the past of a split and scores its test.

    It must learn nothing from the test rows (no figure of them, no label), say the same for the
    same table, split and seed, and give probabilities that were calibrated on `split.later` at the
    natural rate of fraud, so that Brier scores can be compared.
    """

    @property
    def name(self) -> str:
        """Its key in the report; unique on a ladder."""
        ...

    @property
    def words(self) -> str:
        """What sentences call it: singular, as it stands within a sentence."""
        ...

    @property
    def base(self) -> str:
        """Name of the rung it is measured against: one of `BASES`, or one before it.

        An alternative names XGBoost on the same columns, an addition the rung it adds to.
        """
        ...

    def fit_scores(self, table: Table, split: Split, seed: int) -> RungScores:
        """Learn from `split.early` and `split.later`, score `split.test`."""
        ...


def require_order(ladder: Sequence[Rung]) -> None:
    """Check that every rung has a name of its own, and stands on one before it.

    Raises:
        InvalidSetting: A name is taken, or a base is not there.
    """
    known = set(BASES)
    for rung in ladder:
        if rung.name in known:
            raise InvalidSetting(
                "two rungs of the ladder have one name",
                field="ladder",
                value=rung.name,
                remedy="Give each rung a name of its own.",
            )
        if rung.base not in known:
            raise InvalidSetting(
                f"the rung {rung.name} is measured against one that is not before it",
                field="ladder",
                value=rung.base,
                remedy=f"Name one of {', '.join(sorted(known))}, or change the order.",
            )
        known.add(rung.name)


def climb(
    ladder: Sequence[Rung],
    table: Table,
    split: Split,
    bases: Mapping[str, Scores],
    seed: int,
    *,
    base_seconds: Mapping[str, float] = MappingProxyType({}),
    clock: Clock | None = None,
    progress: Progress,
) -> dict[str, Any]:
    """Learn the rungs one after the other and compare them.

    Args:
        ladder: The rungs after those of `BASES`, in order (`require_order`).
        table: The replayed history.
        split: Its past and its test.
        bases: Probabilities of the test rows by the rungs of `BASES`, float64 [R] each.
        seed: Of the rungs and the bootstrap.
        base_seconds: How long the rungs of `BASES` took.
        clock: Times the others; without one their `seconds` are NaN.
        progress: Told each rung.

    Returns:
        `rungs`: the figures of each, in order; `best`: the name of the best candidate (neither a
        control nor a shuffled twin); `adds`: names of candidates whose gain over their base is
        beyond doubt and more than any control's; `loses`: the same of losses; `seeds`: the largest
        difference of a control, NaN without one; `edges`: by rung with a shuffled twin what its
        edges bear (`scorer.edge_gain`). Gains are None where there is no base.
    """
    words = {name: said for name, (said, _) in BASES.items()}
    below = {name: base for name, (_, base) in BASES.items()}
    if "starter" not in bases:
        below["memory"] = below["starter"]
    said = {name: RungScores(scores) for name, scores in bases.items()}
    seconds = {name: base_seconds.get(name, float("nan")) for name in bases}
    for rung in ladder:
        progress(f"learn {rung.name}", 0)
        began = clock() if clock else float("nan")
        said[rung.name] = rung.fit_scores(table, split, seed)
        seconds[rung.name] = (clock() if clock else float("nan")) - began
        words[rung.name], below[rung.name] = rung.words, rung.base
    compared = _Compared.of({name: each.scores for name, each in said.items()}, table, split, seed)
    controls = [name for name, each in said.items() if each.control]
    seeds = max((abs(compared.difference(c, below[c])) for c in controls), default=float("nan"))
    figures: dict[str, dict[str, Any]] = {}
    best: str | None = None
    for name, each in said.items():
        over, over_best = (compared.gain(name, base, seeds) for base in (below[name], best))
        figures[name] = {
            "words": words[name],
            **compared.figures(name),
            "seconds": seconds[name],
            "gain": over,
            "over_best": over_best,
            "control": each.control,
            "sentence": _sentence(words, name, over, over_best, control=each.control),
            "facts": dict(each.facts),
            "more": list(each.sentences),
        }
        candidate = not each.control and each.shuffles is None
        if candidate and (best is None or compared.points[name] > compared.points[best]):
            best = name
    clear = {
        name: row["gain"]
        for name, row in figures.items()
        if said[name].shuffles is None
        and row["gain"] is not None
        and not row["gain"]["within_seeds"]
    }
    return {
        "rungs": figures,
        "best": best,
        "adds": [name for name, over in clear.items() if over["excludes_zero"]],
        "loses": [name for name, over in clear.items() if over["ci"][1] < 0],
        "seeds": seeds,
        "edges": compared.edges(words, below, said, seeds),
        "resamples": RESAMPLES,
    }


class _Compared(NamedTuple):
    """All rungs on the same resamples of the test."""

    scores: Mapping[str, Scores]
    fraud: Flags
    points: Mapping[str, float]
    drawn: Mapping[str, Scores]

    @classmethod
    def of(cls, scores: Mapping[str, Scores], table: Table, split: Split, seed: int) -> "_Compared":
        fraud = table.fraud[split.test]
        clusters = clusters_of(fraud, [table.ring_ids[row] for row in split.test])
        rankings = {name: Ranking.of(each, fraud) for name, each in scores.items()}
        return cls(
            scores,
            fraud,
            {name: ranking.average_precision() for name, ranking in rankings.items()},
            resampled_average_precision(rankings, clusters, seed),
        )

    def difference(self, name: str, over: str | None) -> float:
        return self.points[name] - self.points[over or name]

    def gain(self, name: str, over: str | None, seeds: float) -> dict[str, Any] | None:
        return None if over is None else self.over(name, over, seeds)

    def over(self, name: str, over: str, seeds: float) -> dict[str, Any]:
        difference = self.difference(name, over)
        found = gain(self.drawn[name], self.drawn[over], difference)
        return {"over": over, **found, "within_seeds": abs(difference) <= seeds}

    def edges(
        self,
        words: Mapping[str, str],
        below: Mapping[str, str | None],
        said: Mapping[str, RungScores],
        seeds: float,
    ) -> dict[str, Any]:
        """What the edges of each rung bear that has a shuffled twin on the ladder."""
        found = {}
        for twin, each in said.items():
            network, base = each.shuffles, below[twin]
            if network is not None and network in said and base is not None:
                gains = ((network, base), (twin, base), (network, twin))
                judged = (self.over(name, over, seeds) for name, over in gains)
                found[network] = edge_gain(words[network], words[base], *judged)
        return found

    def figures(self, name: str) -> dict[str, Any]:
        scores = self.scores[name]
        return {
            "average_precision": self.points[name],
            "average_precision_ci": interval(self.drawn[name]),
            "recall_at_precision": recall_at_precision(scores, self.fraud),
            "brier": calibration_figures(scores, self.fraud)["brier"],
        }


def _sentence(
    words: Mapping[str, str],
    name: str,
    over: Mapping[str, Any] | None,
    over_best: Mapping[str, Any] | None,
    *,
    control: bool,
) -> str:
    """What came of a rung: its gain over its base, and over the best where that is another."""
    subject = words[name][:1].upper() + words[name][1:]
    if over is None or over_best is None:
        return f"{subject} is what the ladder stands on."
    said = f"{subject} {verdict(over, words[over['over']])}"
    if control:
        return f"{said}: so much is chance."
    if over["within_seeds"] and not over["ci"][0] <= 0 <= over["ci"][1]:
        said += ", no more than another seed does"
    if over_best["over"] != over["over"]:
        said += f"; against the best so far, {words[over_best['over']]}, it is "
        said += _with_sign(over_best)
    return f"{said}."


def verdict(over: Mapping[str, Any], base: str) -> str:
    """The verb of a gain: it adds, it loses, or it adds nothing that is beyond doubt.

    Args:
        over: `difference` and `ci`, as `scorer.metrics.gain` gives them.
        base: What sentences call the other rung.
    """
    low, high = over["ci"]
    if low > 0:
        return f"adds {points(over['difference'])} {plain_interval(over['ci'])} over {base}"
    if high < 0:
        return f"loses {points(-over['difference'])} {plain_interval((-high, -low))} to {base}"
    doubt = " beyond doubt" if over["difference"] > 0 else ""
    return f"adds nothing{doubt} over {base} ({_with_sign(over)})"


def _with_sign(over: Mapping[str, Any]) -> str:
    return f"{points(over['difference'], sign=True)} {signed_interval(over['ci'])}"
