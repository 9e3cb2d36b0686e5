"""Who plays which part in a ring, and why: victim, mule, controller, cash-out, bystander, fringe.

Heuristics name the parts of their own pattern. What somebody is in the ring follows from all of its
evidence: from the money of the witness first, from what the evidence says where no money tells.

=============  =====================================================================================
controller     starts the money that comes home to it in a cycle; or the money of several members
               comes together at it and stays; or it is the centre from which money goes to several
               and to which none comes; or, where no money says who steers, it was the first on the
               device or card that most members share
cash-out       most of what it sends on leaves the graph (cash, merchants), or what it got stays; or
               it spends at merchants of the ring, and evidence names it as a member
mule           it received money of the ring and passed on at least half as much to users
victim         it only pays in and is not paid by the ring
bystander      it is named only by evidence too weak to bear a ring or that proves nothing alone, or
               only shares something with members
fringe         little of the evidence names it (`graph.ring_fringe`): it does not count as a member
shared         a device, card or address: it plays no part of its own
=============  =====================================================================================

Where heuristics name a victim, a mule or a cash-out, that stands unless the money says otherwise: a
victim that was paid, a cash-out that passed money on to users. Patterns play no role by name, only
the roles that their evidence gives, so a new pattern needs nothing here.

Pure and deterministic; O(members + what the evidence names), nothing of which is on the path of a
transaction: it is asked for when somebody looks at a ring.

>>> from graph.evidence import Evidence, Hop, Pattern
>>> a, b, c = (Entity(EntityKind.USER, name) for name in "abc")
>>> hops = (Hop("t1", a, b, 100, 1), Hop("t2", b, c, 90, 2))
>>> members = ((b, Role.MULE), (a, Role.SENDER), (c, Role.RECEIVER))
>>> piece = Evidence(Pattern.MULE, 2, members, hops, 0.8, "passes on")
>>> for each in ring_roles(members, [piece]):
...     print(each.entity, each.role.value, "-", each.reason)
user:b mule - It received money from 1 member and passed 90 % of it on to 1 account.
user:a victim - It only paid in: to 1 member, none of whom paid it.
user:c cash_out - Money of 1 member came to it and 100 % of it has not been seen to leave.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from graph.evidence import Evidence, Hop, Role
from graph.ring_policy import RingPolicy
from graph.ring_score import is_proof
from graph.transaction import ACCOUNTS, Entity, EntityKind
from graph.wording import counted, pattern_words

_PASSES_ON: Final = 0.5
"""Share of what it received that an account sends on to be more than where money ends."""
_SLACK: Final = 0.05
"""As much more than it received is no money of its own: fees, and what came in before."""


@dataclass(frozen=True, slots=True)
class MemberRole:
    """What a member is in its ring, with the reason in a sentence."""

    entity: Entity
    role: Role
    reason: str


@dataclass(slots=True)
class _Account:
    """What the witness and the evidence say of one member."""

    payers: set[Entity] = field(default_factory=set)
    payees: set[Entity] = field(default_factory=set)
    received: int = 0
    sent: int = 0
    left: int = 0
    first_in: tuple[int, str] | None = None
    first_out: tuple[int, str] | None = None
    told: dict[Role, Evidence] = field(default_factory=dict)  # the strongest that says so
    naming: int = 0
    proving: int = 0
    centre: bool = False

    def note(self, hop: Hop, *, out: bool) -> None:
        at = (hop.timestamp, hop.transaction_id)
        if out:
            self.sent += hop.moved
            self.first_out = min(self.first_out or at, at)
            if hop.target is None or hop.target.kind is EntityKind.MERCHANT:
                self.left += hop.moved
            if hop.target is not None:
                self.payees.add(hop.target)
        else:
            self.received += hop.moved
            self.first_in = min(self.first_in or at, at)
            if hop.source is not None:
                self.payers.add(hop.source)

    @property
    def begins(self) -> bool:
        """Whether it sent money of the witness before any came to it."""
        return self.first_out is not None and (
            self.first_in is None or self.first_out < self.first_in
        )


def ring_roles(
    members: Sequence[tuple[Entity, Role]],
    evidence: Sequence[Evidence],
    policy: RingPolicy = RingPolicy(),
) -> tuple[MemberRole, ...]:
    """What each member is in the ring, in the order of the members.

    Args:
        members: The members, each in the role that says most of those it was told to play; of whom
            little of the evidence names, as the fringe.
        evidence: The ring's evidence; of what is missing here only the told role speaks.
        policy: Says which evidence is strong enough to bear a ring.
    """
    accounts = {entity: _Account() for entity, _ in members}
    _read_evidence(accounts, evidence, policy)
    _read_money(accounts, evidence)
    core = {entity for entity, role in members if role is not Role.FRINGE}
    shared = _first_on_shared(core, evidence, policy)
    found = {
        entity: _judge(entity, role, accounts[entity], len(evidence)) for entity, role in members
    }
    if shared is not None and not any(one.role is Role.CONTROLLER for one in found.values()):
        found[shared.entity] = shared
    return tuple(found.values())


def _read_evidence(
    accounts: dict[Entity, _Account], evidence: Sequence[Evidence], policy: RingPolicy
) -> None:
    for piece in evidence:
        proves = is_proof(piece) and piece.strength >= policy.birth
        for i, (entity, role) in enumerate(piece.members):
            account = accounts.get(entity)
            if account is None:
                continue
            known = account.told.get(role)
            if known is None or piece.strength > known.strength:
                account.told[role] = piece
            account.naming += 1
            account.proving += proves
            account.centre |= proves and i == 0


def _read_money(accounts: dict[Entity, _Account], evidence: Sequence[Evidence]) -> None:
    hops = {hop.transaction_id: hop for piece in evidence for hop in piece.hops}
    for hop in hops.values():
        if hop.source == hop.target:
            continue
        for end, out in ((hop.source, True), (hop.target, False)):
            if end is not None and end in accounts:
                accounts[end].note(hop, out=out)


def _first_on_shared(
    core: set[Entity], evidence: Sequence[Evidence], policy: RingPolicy
) -> MemberRole | None:
    """The first user of the core on the device or card that most of it share.

    Evidence of sharing names the shared thing first and its users in the order in which they came.
    """
    best: tuple[int, Entity, Entity] | None = None
    for piece in evidence:
        thing, role = piece.members[0]
        if role is not Role.SHARED or thing.kind is EntityKind.IP or piece.strength < policy.birth:
            continue
        users = [e for e, _ in piece.members if e.kind is EntityKind.USER and e in core]
        if len(users) >= 2 and (best is None or (-len(users), thing) < (-best[0], best[1])):
            best = (len(users), thing, users[0])
    if best is None:
        return None
    count, thing, user = best
    return MemberRole(
        user,
        Role.CONTROLLER,
        f"It was the first of {count} members on {thing}, and no money says who else steers them.",
    )


def _judge(entity: Entity, told: Role, account: _Account, pieces: int) -> MemberRole:
    role, reason = (
        _account_role(told, account, pieces)
        if entity.kind in ACCOUNTS
        else (Role.SHARED, _shared_reason(entity, account))
    )
    return MemberRole(entity, role, reason)


def _account_role(told: Role, account: _Account, pieces: int) -> tuple[Role, str]:
    if told is Role.FRINGE:
        return told, _little_names(account.naming, pieces)
    if account.told and not account.proving:
        piece = max(account.told.values(), key=lambda each: each.strength)
        return Role.BYSTANDER, (
            f"Only evidence that proves no ring by itself names it ({_name(piece)}, strength "
            f"{piece.strength:.2f})."
        )
    if account.received and account.sent and account.begins and Role.CONTROLLER in account.told:
        kept = account.received / account.sent
        return Role.CONTROLLER, (
            f"The money begins here and comes home: {100 * kept:.0f} % of what it sent came back."
        )
    if account.received:
        return _paid_role(account)
    if account.sent:
        return _paying_role(account)
    return _told_role(told, account)


def _paid_role(account: _Account) -> tuple[Role, str]:
    """Of an account that money of the ring came to."""
    payers = len(account.payers)
    on = account.sent / account.received
    if account.sent and account.left >= _PASSES_ON * account.sent and on >= _PASSES_ON:
        share = account.left / account.sent
        return Role.CASH_OUT, (
            f"Money leaves the graph here: {100 * share:.0f} % of what it sent went into cash or "
            "to merchants."
        )
    if on >= _PASSES_ON or Role.MULE in account.told:
        onto = counted(len(account.payees), "account") if account.payees else "the outside"
        origin = _members(payers) if payers else "outside the graph"
        more = ", and money of its own as well" if on > 1 + _SLACK else ""
        return Role.MULE, (
            f"It received money from {origin} and passed {_percent(on)} of it on to {onto}{more}."
        )
    stays = f"{100 * (1 - on):.0f} % of it has not been seen to leave."
    if payers >= 2 and Role.CASH_OUT not in account.told:
        return Role.CONTROLLER, f"Money of {_members(payers)} comes together here; {stays}"
    origin = f"of {_members(payers)}" if payers else "from outside the graph"
    return Role.CASH_OUT, f"Money {origin} came to it and {stays}"


def _paying_role(account: _Account) -> tuple[Role, str]:
    """Of an account that pays and that nobody in the witness pays."""
    payees = len(account.payees)
    if account.centre and payees >= 2 and Role.VICTIM not in account.told:
        return Role.CONTROLLER, (
            f"The money begins here: it paid {counted(payees, 'account')}, and none of the ring "
            "paid it."
        )
    if Role.MULE in account.told and Role.VICTIM not in account.told:
        return Role.MULE, (
            f"Evidence of {_name(account.told[Role.MULE])} names it as mule: it paid "
            f"{_members(payees)}; where its money came from was not seen."
        )
    if not account.payees:
        return Role.CASH_OUT, "It took money out of the graph."
    robbed = account.told.keys() & {Role.VICTIM, Role.SENDER}
    shops = all(payee.kind is EntityKind.MERCHANT for payee in account.payees)
    if shops and Role.MEMBER in account.told and not robbed:
        return Role.CASH_OUT, (
            f"It spends at {_members(payees)}, and evidence of {_name(account.told[Role.MEMBER])} "
            "names it as one of them, not as somebody who is robbed."
        )
    return Role.VICTIM, f"It only paid in: to {_members(payees)}, none of whom paid it."


_ASSUMED: Final = {
    Role.CONTROLLER: Role.CONTROLLER,
    Role.MULE: Role.MULE,
    Role.CASH_OUT: Role.CASH_OUT,
    Role.RECEIVER: Role.CASH_OUT,
    Role.SENDER: Role.VICTIM,
    Role.VICTIM: Role.VICTIM,
}
"""What somebody is taken for by the told role alone; everybody else only stands by."""


def _told_role(told: Role, account: _Account) -> tuple[Role, str]:
    """Of an account that no money at hand touches: what the evidence says."""
    role = _ASSUMED.get(told, Role.BYSTANDER)
    piece = account.told.get(told)
    if piece is None:
        return role, (
            f"Evidence that newer evidence has replaced named it as {_words(told)}; what is at "
            "hand does not."
        )
    if role is Role.BYSTANDER:
        return role, f"No money of the ring touches it; only evidence of {_name(piece)} names it."
    return role, f"Evidence of {_name(piece)} names it as {_words(told)}."


def _little_names(naming: int, pieces: int) -> str:
    if not naming:
        return "Newer evidence has replaced what named it; what is at hand does not."
    verb = "names" if naming == 1 else "name"
    return (
        f"Only {naming} of {counted(pieces, 'piece')} of evidence {verb} it; others of the ring "
        "are named by more, or more strongly."
    )


def _shared_reason(entity: Entity, account: _Account) -> str:
    users = {
        each
        for piece in account.told.values()
        for each, _ in piece.members
        if each.kind is EntityKind.USER
    }
    if not users:
        return "Members were seen with it."
    alone = " An address alone joins nobody." if entity.kind is EntityKind.IP else ""
    return f"{_members(len(users))} were seen with it.{alone}"


def _name(piece: Evidence) -> str:
    return pattern_words(piece.pattern)


def _words(role: Role) -> str:
    return role.value.replace("_", " ")


def _members(n: int) -> str:
    return counted(n, "member")


def _percent(share: float) -> str:
    return "all" if share >= 1 else f"{100 * share:.0f} %"
