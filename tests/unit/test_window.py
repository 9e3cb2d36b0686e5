"""What the window promises at its edges: caps, gaps, ties, disorder, torn snapshots."""

import numpy as np
import pytest

from graph.admission import Status
from graph.columns import GrowingTable, PagedColumns
from graph.entities import EntitySpace
from graph.errors import Incompatible
from graph.kernels import PAGE, slot
from graph.transaction import DAY, HOUR, MINUTE, EntityKind, Money, Transaction, TransactionType
from graph.window import TransactionWindow, WindowConfig

START = 1_700_000_000_000


def transfer(number: int, at: int, source: str, target: str) -> Transaction:
    return Transaction(
        transaction_id=f"t{number}",
        timestamp=START + at,
        type=TransactionType.TRANSFER,
        amount=Money(100, "EUR"),
        value=100,
        user_id=source,
        counterparty_id=target,
    )


def small(**changes: int) -> WindowConfig:
    sizes = {"max_edges": 64, "max_accounts": 64, "max_identifiers": 64, "max_links": 256}
    return WindowConfig(**(sizes | changes))


def test_a_full_window_gives_up_its_oldest_edges_and_says_so() -> None:
    window = TransactionWindow(small(max_edges=10))
    for n in range(25):
        assert window.add(transfer(n, n * 1000, "a", "b")).status is Status.ACCEPTED
    assert len(window) == 10
    assert window.pressed == 15
    assert window.cutoff == START + 14_001
    assert window.transaction_id(window.tail) == "t15"
    assert window.add(transfer(99, 14_000, "a", "b")).status is Status.LATE


def test_what_a_full_window_gave_up_stays_away_after_a_restore() -> None:
    window = TransactionWindow(small(max_edges=10))
    for n in range(25):
        window.add(transfer(n, n * 1000, "a", "b"))
    window = TransactionWindow.restore(window.snapshot())
    assert window.add(transfer(99, 14_000, "a", "b")).status is Status.LATE
    assert window.add(transfer(98, 14_001, "a", "b")).status is Status.ACCEPTED


def test_an_edge_is_held_for_the_whole_horizon_and_not_a_millisecond_longer() -> None:
    window = TransactionWindow(small(horizon=HOUR))
    oldest = window.add(transfer(0, 0, "a", "b")).position
    for n in range(1, 4):
        window.add(transfer(n, HOUR, "a", "b"))
    assert (window.watermark, window.cutoff) == (START + HOUR, START)
    assert window.tail == oldest
    assert window.add(transfer(0, 0, "a", "b")).status is Status.DUPLICATE
    for n in range(4, 7):
        window.add(transfer(n, HOUR + 1, "a", "b"))
    assert window.cutoff == START + 1
    assert window.tail == oldest + 1


def test_links_beyond_their_cap_forget_the_oldest_pair_first() -> None:
    window = TransactionWindow(small(max_links=64, max_accounts=512, max_edges=1024))
    for n in range(200):
        window.add(transfer(n, n, f"u{n}", "hub"))
    assert window.link_end - window.link_tail <= 64
    assert window.add(transfer(900, 300, "u199", "hub")).links[3].count == 1
    assert window.add(transfer(901, 300, "u0", "hub")).links[3].count == 0


def test_links_in_use_outlive_the_retention_and_idle_ones_do_not() -> None:
    window = TransactionWindow(small(retention=2 * DAY, max_edges=4096))
    window.add(transfer(0, 0, "idle", "shop"))
    for n in range(1, 200):
        window.add(transfer(n, n * HOUR, "regular", "shop"))
    regular = window.add(transfer(1000, 200 * HOUR, "regular", "shop")).links[3]
    assert regular.count == 199
    assert regular.first == START + HOUR
    assert window.add(transfer(1001, 200 * HOUR, "idle", "shop")).links[3].count == 0


def test_an_entity_unseen_for_the_retention_gives_its_id_back_under_a_new_generation() -> None:
    space = EntitySpace((EntityKind.USER,), capacity=4, retention=DAY)
    first = space.intern(EntityKind.USER, "old", START, START)
    generation = int(space.generation[first])
    for n in range(20):
        now = START + 2 * DAY + n
        space.intern(EntityKind.USER, f"new-{n % 3}", now, now)
    assert space.find(EntityKind.USER, "old") == -1
    assert len(space) == 3
    again = space.intern(EntityKind.USER, "old", START + 3 * DAY, START + 2 * DAY)
    assert space.generation[again] >= 1
    assert generation == 1


def test_a_space_full_of_entities_in_use_refuses_newcomers_and_counts_them() -> None:
    space = EntitySpace((EntityKind.CARD,), capacity=8, retention=DAY)
    ids = [space.intern(EntityKind.CARD, f"c{n}", START, START) for n in range(12)]
    assert ids == [*range(8), -1, -1, -1, -1]
    assert space.refused == 4
    assert space.entity(3).id == "c3"
    with pytest.raises(KeyError):
        space.entity(8)


def test_a_transaction_whose_user_finds_no_room_is_still_answered() -> None:
    window = TransactionWindow(small(max_accounts=2))
    window.add(transfer(0, 0, "a", "b"))
    admission = window.add(transfer(1, 1, "c", "b"))
    assert admission.status is Status.ACCEPTED
    assert admission.user == -1
    assert window.hop(admission.position).source is None


def test_after_a_long_silence_no_single_add_pays_for_the_whole_eviction() -> None:
    window = TransactionWindow(small(max_edges=4096))
    for n in range(2000):
        window.add(transfer(n, n, "a", "b"))
    for n in range(3):
        status = window.add(transfer(5000 + n, 3 * DAY + n, "a", "b")).status
        assert status is (Status.AHEAD if n < 2 else Status.ACCEPTED)
    assert len(window) == 2001 - 256
    for n in range(10):
        window.add(transfer(6000 + n, 3 * DAY + 10 + n, "a", "b"))
    assert len(window) == 11


def test_a_payroll_with_one_timestamp_is_taken_in_whole() -> None:
    window = TransactionWindow(small(max_edges=8192, max_accounts=8192, max_links=16384))
    for n in range(6000):
        assert window.add(transfer(n, 0, "employer", f"e{n}")).status is Status.ACCEPTED
    employer = window.accounts.find(EntityKind.USER, "employer")
    reached = set()
    position = int(window.edges.newest_out[employer])
    while position >= window.tail:
        reached.add(position)
        step = int(window.edges.back_out[_row(window, position)])
        if step == 0:
            break
        position -= step
    assert len(reached) == 6000


def test_deep_disorder_in_one_account_is_late_not_slow() -> None:
    window = TransactionWindow(small(max_edges=8192, max_accounts=8192, max_links=16384))
    for n in range(5000):
        window.add(transfer(n, MINUTE + n, "hub", f"e{n}"))
    assert window.add(transfer(9000, 0, "hub", "x")).status is Status.LATE
    assert window.add(transfer(9001, 0, "other", "x")).status is Status.ACCEPTED


def test_a_late_arrival_names_the_later_edges_it_may_explain() -> None:
    window = TransactionWindow(small())
    window.add(transfer(0, 1000, "a", "b"))
    closing = window.add(transfer(1, 3000, "c", "a"))
    unrelated = window.add(transfer(2, 3500, "x", "y"))
    middle = window.add(transfer(3, 2000, "b", "c"))
    assert middle.disordered
    later, cut = window.affected(middle.position)
    assert closing.position in later
    assert unrelated.position not in later
    assert not cut


def test_more_later_edges_than_are_looked_at_are_said_to_be_more() -> None:
    window = TransactionWindow(small(max_edges=512, max_accounts=512, max_links=1024))
    for n in range(300):
        window.add(transfer(n, MINUTE + n, "hub", f"e{n}"))
    late = window.add(transfer(9000, 0, "x", "hub"))
    assert late.disordered
    later, cut = window.affected(late.position)
    assert len(later) == 256
    assert cut


@pytest.mark.parametrize("damage", ["flip", "cut", "magic", "empty"])
def test_a_damaged_snapshot_is_refused_aloud(damage: str) -> None:
    window = TransactionWindow(small())
    window.add(transfer(0, 0, "a", "b"))
    saved = bytearray(window.snapshot())
    if damage == "flip":
        saved[len(saved) // 2] ^= 1
    elif damage == "cut":
        del saved[-1:]
    elif damage == "magic":
        saved[0] ^= 1
    else:
        saved.clear()
    with pytest.raises(Incompatible, match="Use the previous snapshot"):
        TransactionWindow.restore(bytes(saved))


def test_a_restored_window_goes_on_as_if_nothing_had_happened() -> None:
    rng = np.random.default_rng(7)
    stream = [
        transfer(n, n * 20_000 + int(rng.integers(0, 60_000)), f"u{a}", f"u{b}")
        for n, (a, b) in enumerate(rng.integers(0, 40, (9000, 2)))
        if a != b
    ]
    config = small(max_edges=16_384, max_links=16_384)
    straight, resumed = TransactionWindow(config), TransactionWindow(config)
    for n, tx in enumerate(stream):
        if n % 1000 == 500:
            resumed = TransactionWindow.restore(resumed.snapshot())
        assert straight.add(tx) == resumed.add(tx)
    assert straight.snapshot() == resumed.snapshot()


def test_pages_follow_the_live_rows() -> None:
    columns = PagedColumns([np.int64], capacity=4 * PAGE)
    tail = 0
    for end in range(0, 40 * PAGE, PAGE // 2):
        columns.reach(end)
        tail = max(tail, end - 3 * PAGE)
        columns.release(tail)
        assert columns.nbytes - columns.pages.nbytes <= 8 * PAGE * 5


def test_a_table_grows_before_it_is_crowded_and_never_while_it_is_still_moving() -> None:
    table = GrowingTable()
    size = len(table.table.slots)
    table.table.state[0] = size * 3 // 4
    table.make_room(1)
    assert len(table.table.slots) == 2 * size
    assert table.table.state[1] == 0


def _row(window: TransactionWindow, position: int) -> int:
    return int(slot(window.edges.pages, position))
