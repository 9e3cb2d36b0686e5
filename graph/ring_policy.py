"""When a ring is born, told, falls quiet and ends, and how large it may get."""

from dataclasses import dataclass, replace

import msgspec
import xxhash

from graph.transaction import HOUR


@dataclass(frozen=True, slots=True)
class RingPolicy:
    """When a ring is born, told, falls quiet and ends, and how large it may get.

    Attributes:
        birth: Strength that evidence needs to bear a ring or to bring in members. Weaker evidence
            (friends who pay each other back, a family's tablet) only speaks about rings that hold
            all of its users already; else it would chain strangers together. This, `joins` and
            `alert_score` are for the rules' strengths: a trained judge brings its own.
        joins: Strength that such weaker evidence needs. A rule's says how plain a pattern is, and
            any may complete the picture; what a judge takes for no fraud is no part of a ring that
            is told (`docs/adr/0017-what-a-judge-disbelieves-is-no-part-of-a-ring.md`).
        crowd_birth: What a fan needs to bear one: some thirty payers, all of them strangers.
            Marketplaces, landlords and payrolls are smaller fans, and far more of them than rings;
            below, a fan only joins rings that are there.
        belonging: An account belongs to a ring if the evidence names it at least this much as
            strongly as the mean account of the ring (`graph.ring_fringe`).
        overlap: Evidence that overlaps a ring this much belongs to it (design: Jaccard 0.3).
        merge_overlap, merge_accounts: What it must overlap of another ring, and how many accounts
            it must have of it, to make the two one. With one account in common six cities told ten
            rings fewer, all of them true ones (`docs/adr/0014-what-makes-two-rings-one.md`).
        quiet_after: A working day's pause; bursts of published mule cases last hours. Also the
            least time between two looks at whether a ring has come apart.
        expire_after: The longest time span of a cycle (72 h): nothing older can still close, and
            older evidence holds a ring together no more.
        alert_score: Below this a ring is shown but nobody is woken. Circles of friends send
            money round as well, but slowly: a single lap of three hops that takes more than three
            hours stays below; a second lap, a longer cycle, a hasty mule or a farm do not.
        alert_likelihood: Below this nobody is woken either, where somebody is asked how likely a
            ring is a true one (`scorer.ring_judge`).
        alert_money: Money must have grown by this factor since the last alert to be news.
        alert_apart: Least share of a ring's accounts that are not in any one live ring that was
            told. Below, it is no news, of two accounts not if one is there: the machines and
            invented names of a hand that tries stolen cards are seen apart from the cards. Found
            on eight simulated cities (`docs/experiments.md`).
        max_members, max_transactions, max_evidence: What one ring holds; beyond, `truncated`.
        max_rings: Live rings; beyond, the one still the longest expires early.
        max_closed: Ended rings that can still be looked up.
        max_events: Events remembered a ring.
    """

    birth: float = 0.5
    joins: float = 0.0
    crowd_birth: float = 0.69
    belonging: float = 0.55
    overlap: float = 0.3
    merge_overlap: float = 0.5
    merge_accounts: int = 2
    quiet_after: int = 6 * HOUR
    expire_after: int = 72 * HOUR
    alert_score: float = 0.59
    alert_likelihood: float = 0.0
    alert_money: float = 1.5
    alert_apart: float = 0.65
    max_members: int = 500
    max_transactions: int = 2_000
    max_evidence: int = 200
    max_rings: int = 20_000
    max_closed: int = 5_000
    max_events: int = 100

    @property
    def version(self) -> str:
        """Short hash of the values: part of every alert's id."""
        return xxhash.xxh32_hexdigest(msgspec.json.encode(self))

    def hearing_all(self) -> "RingPolicy":
        """The same of rings that scores are made of: of these any evidence speaks."""
        return replace(self, joins=0.0)
