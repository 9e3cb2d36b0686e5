"""Small random streams for laws that hold whatever happens."""

import random
from collections.abc import Iterable, Sequence

from hypothesis import strategies as st
from msgspec import structs

from graph.thresholds import Thresholds
from graph.transaction import MINUTE, Money, Outcome, Transaction, TransactionType
from graph.window import TransactionWindow, WindowConfig

START = 1_700_000_000_000
LATENESS = 30 * MINUTE
HORIZON = 300 * MINUTE
REACH = HORIZON - LATENESS


SMALL = WindowConfig(
    horizon=HORIZON,
    lateness=LATENESS,
    max_edges=4096,
    max_accounts=1024,
    max_identifiers=1024,
    max_links=4096,
)


# Low, so that short streams of few users bring many heuristics to speak.
TALKATIVE = Thresholds(
    velocity_attempts=4,
    velocity_within=30 * MINUTE,
    mule_senders=2,
    fan_counterparties=3,
    device_users=2,
    told_singly=3,
)


def small_window() -> TransactionWindow:
    return TransactionWindow(SMALL)


def transaction(
    number: int,
    minute: float,
    payer: str | None,
    payee: str | None,
    value: int,
    *,
    declined: bool = False,
    **fields: object,
) -> Transaction:
    """Money from one user to another; `shop...` is a merchant and None is outside the graph."""
    kind, user, counterparty, merchant = TransactionType.TRANSFER, payer, payee, None
    if payer is None:
        kind, user, counterparty = TransactionType.DEPOSIT, payee, None
    elif payee is None:
        kind = TransactionType.WITHDRAWAL
    elif payee.startswith("shop"):
        kind, counterparty, merchant = TransactionType.PAYMENT, None, payee
    elif payer.startswith("shop"):
        kind, user, counterparty, merchant = TransactionType.REFUND, payee, None, payer
    return Transaction(
        transaction_id=f"t{number:04}",
        timestamp=START + int(minute * MINUTE),
        type=kind,
        amount=Money(value, "EUR"),
        value=value,
        user_id=user,
        counterparty_id=counterparty,
        merchant_id=merchant,
        outcome=Outcome.DECLINED if declined else None,
        **fields,
    )


def ticking(stream: Sequence[Transaction]) -> list[Transaction]:
    """The stream with other people's payments every four hours, so that time does not jump."""
    whole: list[Transaction] = []
    for tx in stream:
        while whole and tx.timestamp - whole[-1].timestamp > 240 * MINUTE:
            minute = (whole[-1].timestamp - START) / MINUTE + 240
            tick = transaction(0, minute, "somebody", "shop-around-the-corner", 1)
            whole.append(structs.replace(tick, transaction_id=f"tick{len(whole)}"))
        whole.append(tx)
    return whole


@st.composite
def money_streams(
    draw: st.DrawFn,
    *,
    accounts: int = 5,
    most: int = 40,
    longest_gap: int = 25,
    values: Sequence[int] = (60, 80, 90, 95, 100, 105),
) -> list[Transaction]:
    """Transactions in order of time, with ties, declined ones, a shop, and the outside."""
    users = [f"u{i}" for i in range(accounts)]
    ends = [*users, *users, *users, "shop", None]
    minute, stream = 0, []
    # Left to itself a list is mostly short, and short streams hold no patterns.
    least = draw(st.sampled_from([0, most // 2, most - 5, most - 5]))
    # Five bytes a row: drawn one value at a time, streams took as long as the laws they are for.
    drawn = draw(st.binary(min_size=5 * least, max_size=5 * most))
    for at in range(0, len(drawn) - 4, 5):
        from_, to, gap, value, luck = drawn[at : at + 5]
        payer, payee = ends[from_ % len(ends)], ends[to % len(ends)]
        if (payer is None or payer == "shop") and (payee is None or payee == "shop"):
            continue
        minute += gap % (longest_gap + 1)
        value = values[value % len(values)]
        stream.append(
            transaction(len(stream), minute, payer, payee, value, declined=luck % 10 == 0)
        )
    return stream


def shuffled(stream: Sequence[Transaction], rng: random.Random) -> list[Transaction]:
    """Another order of arrival: each up to the lateness after its time, ties in any order."""
    return sorted(stream, key=lambda tx: tx.timestamp + rng.uniform(0, LATENESS))


def relabelled(stream: Iterable[Transaction], rng: random.Random) -> list[Transaction]:
    """The same stream with other names for its users."""
    names: dict[str, str] = {}

    def name(old: str | None) -> str | None:
        if old is not None and old not in names:
            names[old] = f"{rng.getrandbits(64):016x}"
        return None if old is None else names[old]

    return [
        structs.replace(tx, user_id=name(tx.user_id), counterparty_id=name(tx.counterparty_id))
        for tx in stream
    ]
