"""From the values of the core to the shapes of `api.schemas`, as plain data ready to encode.

This is on the path of every scored transaction, so there is no pydantic in it; a test validates
what it makes against the published schemas.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import networkx as nx

from graph.alerting import headline
from graph.counterfactual import Counterfactual
from graph.evidence import Evidence, Hop, Role
from graph.ring_roles import MemberRole
from graph.rings import Alert, Ring, RingEvent, RingEventKind
from graph.transaction import Entity
from graph.wording import pattern_words
from scorer.verdict import Reason, Verdict

View = dict[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_ROLES: Final[Mapping[Entity, Role]] = MappingProxyType({})
_SYMBOLS: Final = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩"}


def timestamp(at: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC."""
    moment = _EPOCH + timedelta(milliseconds=at)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def entity(found: Entity) -> View:
    """`EntityOut`."""
    return {"kind": found.kind, "id": found.id}


def member(found: tuple[Entity, Role]) -> View:
    """`MemberOut`."""
    return {"entity": entity(found[0]), "role": found[1]}


def member_role(found: MemberRole) -> View:
    """`RingMemberOut`."""
    return {"entity": entity(found.entity), "role": found.role, "reason": found.reason}


def counterfactual(found: Counterfactual) -> View:
    """`CounterfactualOut`."""
    return {
        "score": found.score,
        "alert_score": found.alert_score,
        "likelihood": found.likelihood,
        "alert_likelihood": found.alert_likelihood,
        "clearing": [
            {
                "entity": entity(each.entity),
                "remaining": each.remaining,
                "likelihood": each.likelihood,
            }
            for each in found.clearing
        ],
        "tried": found.tried,
        "truncated": found.truncated,
    }


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


@dataclass(frozen=True, slots=True)
class Views:
    """Views of one installation: money is shown in its base currency.

    Attributes:
        currency: ISO 4217 code of the base currency.
        exponent: Its number of decimals.
    """

    currency: str
    exponent: int

    def money(self, minor: int) -> View:
        """`MoneyOut` of an amount in the base currency."""
        return {
            "minor": minor,
            "currency": self.currency,
            "decimals": self.exponent,
            "text": self.money_text(minor),
        }

    def money_text(self, minor: int) -> str:
        """The amount as a person reads it: exact, with thousands apart."""
        whole, part = divmod(abs(minor), 10**self.exponent)
        digits = f"{whole:,}" + (f".{part:0{self.exponent}d}" if self.exponent else "")
        sign = "-" if minor < 0 else ""
        symbol = _SYMBOLS.get(self.currency, f"{self.currency} ")
        return f"{sign}{symbol}{digits}"

    def hop(self, found: Hop) -> View:
        """`HopOut`."""
        return {
            "transaction_id": found.transaction_id,
            "source": None if found.source is None else entity(found.source),
            "target": None if found.target is None else entity(found.target),
            "money": self.money(found.value),
            "timestamp": timestamp(found.timestamp),
            "declined": found.declined,
        }

    def evidence(self, found: Evidence) -> View:
        """`EvidenceOut`."""
        return {
            "evidence_id": found.evidence_id,
            "pattern": found.pattern,
            "reason": found.reason,
            "strength": found.strength,
            "seen_at": timestamp(found.seen_at),
            "members": [member(each) for each in found.members],
            "hops": [self.hop(each) for each in found.hops],
            "facts": dict(sorted(found.facts.items())),  # as the log has them: the same bytes
            "retained": found.retained,
            "truncated": found.truncated,
        }

    def verdict(self, found: Verdict) -> View:
        """`VerdictOut`."""
        return {
            "transaction_id": found.transaction_id,
            "timestamp": timestamp(found.timestamp),
            "decision": found.decision,
            "score": found.score,
            "model_score": found.model_score,
            "ring_score": found.ring_score,
            "expected_cost": found.expected_cost,
            "reasons": [_reason(each) for each in found.reasons],
            "evidence": [self.evidence(each) for each in found.evidence],
            "rings": found.rings,
            "tiers": found.tiers,
            "degraded": found.degraded,
            "admission": found.admission,
            "model_version": found.model_version,
        }

    def ring(self, found: Ring) -> View:
        """`RingSummary`."""
        return {
            "ring_id": found.ring_id,
            "revision": found.revision,
            "state": found.state,
            "born_at": timestamp(found.born_at),
            "changed_at": timestamp(found.changed_at),
            "score": found.score,
            "likelihood": found.likelihood,
            "money": self.money(found.money),
            "recoverable": self.money(found.recoverable),
            "member_count": len(found.core),
            "patterns": found.patterns,
            "headline": self.headline(found),
            "last_alert_at": None
            if found.last_alert_at is None
            else timestamp(found.last_alert_at),
        }

    def headline(self, found: Ring) -> str:
        """A ring in one line."""
        moved = f", {self.money_text(found.money)}" if found.money else ""
        return headline(found) + moved

    def alert(self, found: Alert) -> View:
        """`AlertOut`."""
        return {
            "alert_id": found.alert_id,
            "ring_id": found.ring_id,
            "revision": found.revision,
            "at": timestamp(found.at),
            "headline": found.headline,
            "score": found.score,
            "likelihood": found.likelihood,
            "money": self.money(found.money),
            "member_count": found.member_count,
            "patterns": found.patterns,
            "policy_version": found.policy_version,
            "watched": [entity(each) for each in found.watched],
        }

    def ring_event(self, found: RingEvent) -> View:
        """`RingEventOut`."""
        return {
            "kind": found.kind,
            "at": timestamp(found.at),
            "ring": self.ring(found.ring),
            "added_members": [entity(each) for each in found.added_members],
            "added_money": self.money(found.added_money),
            "added_patterns": found.added_patterns,
            "merged_ring_id": found.merged_ring_id,
            "split_from": found.ring.split_from,
            "split_ring_ids": found.split_ring_ids,
        }

    def timeline_entry(self, found: RingEvent) -> View:
        """`TimelineEntry`."""
        return {
            "at": timestamp(found.at),
            "kind": found.kind,
            "text": self._told(found),
            "revision": found.ring.revision,
            "money": self.money(found.ring.money),
        }

    def _told(self, event: RingEvent) -> str:
        if event.kind is RingEventKind.BORN:
            whole = event.ring.split_from
            origin = "Born." if whole is None else f"Split from ring {whole}."
            return f"{origin} {self.headline(event.ring)}."
        if event.kind is RingEventKind.SPLIT:
            gone = event.split_ring_ids
            now = "ring" if len(gone) == 1 else "rings"
            return f"Split: {_counted(len(gone), 'part')} went, now {now} {_listed(gone)}."
        if event.kind is RingEventKind.MERGED:
            return f"Took in ring {event.merged_ring_id}."
        if event.kind is RingEventKind.QUIET:
            return "Went quiet: nothing new was seen."
        if event.kind is RingEventKind.EXPIRED:
            return "Expired."
        parts = []
        if event.added_members:
            parts.append(f"{_counted(len(event.added_members), 'member')} joined")
        if event.added_money:
            parts.append(f"{self.money_text(event.added_money)} more moved")
        if event.added_patterns:
            parts.append(f"{_listed([pattern_words(p) for p in event.added_patterns])} seen first")
        return f"Grew: {_listed(parts) if parts else 'more of the same was seen'}."

    def subgraph(
        self, graph: "nx.MultiDiGraph[Entity]", roles: Mapping[Entity, Role] = _NO_ROLES
    ) -> View:
        """`SubgraphOut` of a neighbourhood (see `graph.subgraph`), members in these roles."""
        return {
            "nodes": [
                {
                    "id": str(node),
                    "kind": node.kind,
                    "label": node.id,
                    "role": roles.get(node, about["role"]),
                    "member": about["member"],
                }
                for node, about in graph.nodes(data=True)
            ],
            "edges": [
                self._edge(source, target, key, about)
                for source, target, key, about in graph.edges(keys=True, data=True)
            ],
            "truncated": graph.graph["truncated"],
        }

    def _edge(self, source: Entity, target: Entity, key: str, about: Mapping[str, Any]) -> View:
        money = about["kind"] == "money"
        return {
            "id": key if money else f"{source}~{target}",
            "source": str(source),
            "target": str(target),
            "kind": about["kind"],
            "money": self.money(about["value"]) if money else None,
            "timestamp": timestamp(about["timestamp"]) if money else None,
            "witness": bool(about.get("witness", False)),
        }


def _reason(found: Reason) -> View:
    return {
        "code": found.code,
        "standing": found.standing,
        "text": found.text,
        "weight": found.weight,
        "evidence_id": found.evidence_id,
        "ring_id": found.ring_id,
    }
