"""What of a ring's money can still be recovered: what came to its users and has not left them."""

from bisect import bisect
from collections.abc import Iterable
from typing import Final

from graph.evidence import Hop
from graph.transaction import Entity, EntityKind

_ENDS: Final = (EntityKind.USER,)


class Holdings:
    """What each user of a ring's witness still holds of the money that came to it there.

    Definition
        In order of time (then transaction id), a witness transaction adds its value to what its
        payee holds and takes it from what its payer holds, never below nothing: what an account
        sends beyond what came in was its own, as in the mule heuristic. Whether the first or the
        last money in goes out first makes no difference to the sum. `total` is the sum over all
        users of the witness. So a victim, who only pays in, holds nothing of it.

    What it does not see
        Money that left by transactions outside the witness: the sum is what can *at most* still
        be there. Money at merchants and outside the graph counts as gone, and so does whatever
        was held when the ring's bound on transactions was met.

    Cost: O(1) for a transaction that is the newest of both its ends, else O(transactions of that
    account in the witness).

    >>> a, b = (Entity(EntityKind.USER, name) for name in "ab")
    >>> held = Holdings([Hop("t1", a, b, 100, 1), Hop("t2", b, None, 70, 2)])
    >>> held.total
    30
    """

    def __init__(self, hops: Iterable[Hop] = ()) -> None:
        self.total = 0
        self._flows: dict[Entity, list[tuple[int, str, int]]] = {}
        self._held: dict[Entity, int] = {}
        for hop in hops:
            self.add(hop)

    def add(self, hop: Hop) -> None:
        """Take in a witness transaction; the caller sees to it that each comes once."""
        if hop.source == hop.target or hop.declined:
            return
        for entity, value in ((hop.source, -hop.value), (hop.target, hop.value)):
            if entity is not None and entity.kind in _ENDS:
                self._note(entity, (hop.timestamp, hop.transaction_id, value))

    def of(self, entity: Entity) -> int:
        """What this account still holds."""
        return self._held.get(entity, 0)

    def _note(self, entity: Entity, flow: tuple[int, str, int]) -> None:
        flows = self._flows.setdefault(entity, [])
        before = self._held.get(entity, 0)
        if not flows or flow > flows[-1]:
            flows.append(flow)
            now = max(0, before + flow[2])
        else:
            flows.insert(bisect(flows, flow), flow)
            now = 0
            for _, _, value in flows:
                now = max(0, now + value)
        self._held[entity] = now
        self.total += now - before
