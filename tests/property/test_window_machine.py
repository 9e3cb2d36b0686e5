"""The window against a model made of plain lists, under every order of adding that it allows."""

import numpy as np
import xxhash
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import structs

from graph.admission import Status
from graph.kernels import slot
from graph.transaction import HOUR, MINUTE, EntityKind, Money, Outcome, Transaction, TransactionType
from graph.window import TransactionWindow, WindowConfig
from tests.examples import examples

START = 1_700_000_000_000
CONFIG = WindowConfig(
    horizon=HOUR,
    lateness=5 * MINUTE,
    max_edges=4096,
    max_accounts=64,
    max_identifiers=64,
    max_links=4096,
)
USERS = [f"user-{i}" for i in range(5)]
AMOUNTS = st.integers(1, 10_000)


def order(tx: Transaction) -> tuple[int, int]:
    return tx.timestamp, xxhash.xxh32_intdigest(tx.transaction_id.encode())


class WindowMachine(RuleBasedStateMachine):
    """`self.kept` holds what a window without any cleverness would hold."""

    @initialize()
    def begin(self) -> None:
        self.window = TransactionWindow(CONFIG)
        self.kept: list[Transaction] = []
        self.seen: list[int] = []
        self.absurd: list[int] = []
        self.number = 0
        self.cutoff = 0
        self.counts = dict.fromkeys(Status, 0)

    def mark(self) -> int:
        newest = sorted(self.seen + self.absurd)[-3:]
        return newest[0] if newest else 0

    def send(self, tx: Transaction) -> Status:
        status = self.window.add(tx).status
        self.counts[status] += 1
        return status

    @rule(
        step=st.integers(-6 * MINUTE, 20 * MINUTE),
        pair=st.permutations(USERS),
        amount=AMOUNTS,
        kind=st.sampled_from(list(TransactionType)),
        declined=st.booleans(),
        device=st.sampled_from([None, "d1", "d2"]),
    )
    def add(self, step, pair, amount, kind, declined, device) -> None:
        now = max(self.seen, default=START) + step
        self.number += 1
        tx = Transaction(
            transaction_id=f"t{self.number}",
            timestamp=now,
            type=kind,
            amount=Money(amount, "EUR"),
            value=amount,
            user_id=pair[0],
            counterparty_id=pair[1] if kind is TransactionType.TRANSFER else None,
            merchant_id="shop"
            if kind in (TransactionType.PAYMENT, TransactionType.REFUND)
            else None,
            device_id=device,
            outcome=Outcome.DECLINED if declined else None,
        )
        self.seen.append(now)
        late = now < self.mark() - CONFIG.lateness
        assert self.send(tx) is (Status.LATE if late else Status.ACCEPTED)
        if not late:
            self.kept.append(tx)
            self.cutoff = self.mark() - CONFIG.horizon

    @rule(data=st.data())
    def repeat(self, data) -> None:
        live = [tx for tx in self.kept if tx.timestamp >= self.window.cutoff]
        if live:
            tx = data.draw(st.sampled_from(live))
            changed = structs.replace(tx, value=tx.value + 1)
            assert self.send(changed) is Status.DUPLICATE

    @precondition(lambda self: len(self.seen) >= 3 and len(self.absurd) < 2)
    @rule(tries=st.integers(1, 5))
    def absurd(self, tries) -> None:
        self.number += 1
        tx = Transaction(
            f"t{self.number}",
            253_402_300_799_000,
            TransactionType.DEPOSIT,
            Money(1, "EUR"),
            1,
            "user-0",
        )
        self.absurd.append(tx.timestamp)
        for _ in range(tries):  # one transaction is one witness, however often it is sent
            assert self.send(tx) is Status.AHEAD
        assert self.window.watermark == self.mark() <= max(self.seen)

    @rule()
    def save_and_restore(self) -> None:
        saved = self.window.snapshot()
        self.window = TransactionWindow.restore(saved)
        assert self.window.snapshot() == saved

    @invariant()
    def counts_everything_and_holds_the_whole_horizon(self) -> None:
        assert self.window.counts == self.counts
        assert self.window.cutoff == self.cutoff

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        window, cutoff = self.window, self.window.cutoff
        live = {tx.transaction_id: tx for tx in self.kept if tx.timestamp >= cutoff}
        held = {}
        for position in range(window.tail, window.end):
            if window.edges.time[slot(window.edges.pages, position)] >= cutoff:
                held[window.transaction_id(position)] = position
        assert held.keys() == live.keys()
        for id_, position in held.items():
            hop, tx = window.hop(position), live[id_]
            assert (hop.source, hop.target) == (tx.payer, tx.payee)
            assert (hop.value, hop.timestamp) == (tx.value, tx.timestamp)

    @invariant()
    def chains_are_in_order_of_time(self) -> None:
        window, edges = self.window, self.window.edges
        live = [tx for tx in self.kept if tx.timestamp >= window.cutoff]
        for account in window.accounts:
            entity = window.accounts.entity(account)
            for heads, back, side in (
                (edges.newest_out, edges.back_out, "payer"),
                (edges.newest_in, edges.back_in, "payee"),
            ):
                expected = sorted(
                    (tx for tx in live if getattr(tx, side) == entity), key=order, reverse=True
                )
                assert walk(window, int(heads[account]), back) == [
                    tx.transaction_id for tx in expected
                ]

    @invariant()
    def every_edge_knows_its_predecessor(self) -> None:
        window, edges = self.window, self.window.edges
        live = [tx for tx in self.kept if tx.timestamp >= window.cutoff]
        for position in range(window.tail, window.end):
            row = slot(edges.pages, position)
            if edges.source[row] < 0 or edges.time[row] < window.cutoff:
                continue
            source = window.account(int(edges.source[row]))
            before = [tx for tx in live if tx.payee == source and tx.timestamp < edges.time[row]]
            found = position - int(edges.back_pred[row])
            if before:
                assert edges.back_pred[row] != 0
                assert window.transaction_id(found) == max(before, key=order).transaction_id
            elif edges.back_pred[row] != 0 and found >= window.tail:
                assert edges.time[slot(edges.pages, found)] < window.cutoff


def walk(window: TransactionWindow, position: int, back: np.ndarray) -> list[str]:
    found = []
    while position >= window.tail:
        row = slot(window.edges.pages, position)
        if window.edges.time[row] < window.cutoff:
            break
        found.append(window.transaction_id(position))
        if back[row] == 0:
            break
        position -= int(back[row])
    return found


TestWindow = WindowMachine.TestCase
TestWindow.settings = settings(max_examples=examples(60), stateful_step_count=60, deadline=None)


def test_links_remember_who_was_seen_with_what() -> None:
    window = TransactionWindow(CONFIG)

    def seen(number: int, user: str, device: str, at: int) -> tuple[int, int, int]:
        tx = Transaction(
            f"t{number}", START + at, TransactionType.DEPOSIT, Money(1, "EUR"), 1, user,
            device_id=device,
        )  # fmt: skip
        return window.add(tx).links[0]

    assert seen(1, "a", "d", 0) == (0, 0, 0)
    assert seen(2, "a", "d", 10) == (1, START, START)
    assert seen(3, "a", "d", 20) == (2, START, START + 10)
    assert seen(4, "b", "d", 30) == (0, 0, 0)
    device = window.identifiers.find(EntityKind.DEVICE, "d")
    row = slot(window.links.pages, int(window.links.newest_of_identifier[device]))
    assert window.account(int(window.links.user[row])).id == "b"
    earlier = int(window.links.newest_of_identifier[device]) - int(window.links.back_entity[row])
    assert window.account(int(window.links.user[slot(window.links.pages, earlier)])).id == "a"
