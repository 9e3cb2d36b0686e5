"""The lists: the last decision stands until event time ends it, the same for every replay."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

import graph.lists
from graph.errors import Incompatible, InvalidInput, InvalidSetting
from graph.evidence import Pattern
from graph.lists import CONFIGURED, NEVER, ListBook, ListChange, ListEntry, ListName, Lists
from graph.transaction import DAY, HOUR, MINUTE, Entity, EntityKind, Money, Transaction
from graph.transaction import TransactionType as Type
from graph.window import WindowConfig
from ingest import list_changes
from ingest.list_changes import InvalidListChange
from scorer.decision import Policy
from scorer.detector import Detector, DetectorConfig
from scorer.features import FeatureConfig
from scorer.verdict import Decision

START = 1_700_000_000_000
CONFIG = DetectorConfig(
    window=WindowConfig(
        max_edges=1 << 12, max_accounts=1 << 10, max_identifiers=1 << 11, max_links=1 << 12
    ),
    features=FeatureConfig(pairs=1 << 10),
)
ADA, BOB = Entity(EntityKind.USER, "ada"), Entity(EntityKind.USER, "bob")
PHONE = Entity(EntityKind.DEVICE, "phone")

changes = st.builds(
    ListChange,
    entity=st.sampled_from([ADA, BOB, PHONE, Entity(EntityKind.DEVICE, "ada")]),
    listing=st.sampled_from(ListName),
    listed=st.booleans(),
    reason=st.sampled_from(["", "said so"]),
    author=st.just("me"),
    expires_at=st.none() | st.integers(0, 20),
)


def transfer(number: int, at: int, source: str, target: str, value: int = 10_000) -> Transaction:
    return Transaction(
        f"t{number}", START + at, Type.TRANSFER, Money(value, "EUR"), value, source, target,
        device_id=f"phone-{source}",
    )  # fmt: skip


def test_doctests() -> None:
    results = doctest.testmod(graph.lists)
    assert results.attempted > 0
    assert results.failed == 0


@given(st.lists(changes | st.integers(0, 20), max_size=40))
def test_a_book_is_what_a_dictionary_of_the_last_decisions_would_be(steps) -> None:
    book, model = ListBook(), {}
    for step in steps:
        if isinstance(step, int):
            book.expire(step)
            model = {k: c for k, c in model.items() if c.expires_at is None or c.expires_at > step}
        else:
            book.apply(step)
            model.pop((step.listing, step.entity), None)
            if step.listed:
                model[step.listing, step.entity] = step
        assert {(e.listing, e.entity) for e in book.entries()} == model.keys()
        assert len(book) == len(model)
        ends = [c.expires_at for c in model.values() if c.expires_at is not None]
        assert book.next_expiry <= min(ends, default=NEVER)
    for (listing, entity), change in model.items():
        found = book.get(listing, entity)
        assert found == ListEntry(
            entity, listing, change.reason, change.author, change.expires_at, change.at
        )
        assert listing in book.of(entity)
    again = ListBook()
    again.restore(book.snapshot())
    assert again.snapshot() == book.snapshot()
    again.expire(20)
    book.expire(20)
    assert again.entries() == book.entries()


def test_endings_of_entries_that_changed_do_not_pile_up() -> None:
    book = ListBook()
    for n in range(1_000):
        book.apply(ListChange(ADA, ListName.WATCH, expires_at=1_000_000 + n))
    assert len(book._endings) <= 32
    book.expire(1_000_998)
    assert book.get(ListName.WATCH, ADA) is not None
    book.expire(1_000_999)
    assert len(book) == 0


def test_a_full_book_refuses_and_stays_as_it_was(monkeypatch) -> None:
    monkeypatch.setattr(graph.lists, "MOST", 1)
    book = ListBook(Lists(watched=frozenset({ADA})))
    assert book.get(ListName.WATCH, ADA).author == CONFIGURED
    before = book.snapshot()
    with pytest.raises(InvalidInput, match="more than 1 entries"):
        book.apply(ListChange(BOB, ListName.WATCH))
    assert book.snapshot() == before
    book.apply(ListChange(ADA, ListName.WATCH, reason="changed"))
    assert book.get(ListName.WATCH, ADA).reason == "changed"


def test_a_torn_book_is_refused_and_nobody_is_configured_as_both() -> None:
    with pytest.raises(Incompatible):
        ListBook().restore(ListBook().snapshot()[:-1])
    with pytest.raises(InvalidSetting, match="blocked and allowed"):
        Lists(blocked=frozenset({ADA}), allowed=frozenset({ADA}))


def test_a_blocked_entity_is_declined_with_the_reason_until_event_time_ends_it() -> None:
    detector = Detector(CONFIG)
    detector.refer(ListChange(ADA, ListName.BLOCK, reason="chargebacks", expires_at=START + HOUR))
    declined = detector.observe(transfer(1, 0, "ada", "bob"))
    assert declined.decision is Decision.DECLINE
    assert declined.reasons[0].text == "user:ada is on the block list: chargebacks"
    # One claim of a later time ends nothing: the watermark is the third-newest timestamp.
    claimed = detector.observe(transfer(2, 2 * HOUR, "ada", "bob"))
    assert claimed.decision is Decision.DECLINE
    for n in (3, 4):
        detector.observe(transfer(n, 2 * HOUR, "x", "y"))
    after = detector.observe(transfer(5, 2 * HOUR, "ada", "bob"))
    assert Pattern.BLOCKED not in {piece.pattern for piece in after.evidence}


def test_who_is_allowed_and_blocked_is_blocked() -> None:
    detector = Detector(CONFIG)
    detector.refer(ListChange(ADA, ListName.ALLOW))
    detector.refer(ListChange(ADA, ListName.BLOCK))
    assert detector.observe(transfer(1, 0, "ada", "bob")).decision is Decision.DECLINE
    detector.refer(ListChange(ADA, ListName.BLOCK, listed=False))
    assert detector.observe(transfer(2, 1, "ada", "bob")).decision is not Decision.DECLINE


@pytest.mark.parametrize("policy", [Policy(), Policy(thresholds=(0.0005, 0.9))])
def test_who_is_watched_is_named_and_nothing_else_changes(policy: Policy) -> None:
    """With the second policy everything steps up: the reason is there whatever was decided."""
    plain, watching = Detector(CONFIG, policy=policy), Detector(CONFIG, policy=policy)
    for entity in (ADA, Entity(EntityKind.DEVICE, "phone-ada")):
        watching.refer(ListChange(entity, ListName.WATCH, reason="asked by compliance"))
    pairs = [("ada", "bob"), ("bob", "cyd"), ("cyd", "ada"), ("x", "y")]
    alerts = []
    for n, (source, target) in enumerate(pairs):
        tx = transfer(n, n * MINUTE, source, target, 900_000 - n * 10_000)
        without, verdict = plain.observe(tx), watching.observe(tx)
        told = [reason for reason in verdict.reasons if reason.code == "watched"]
        assert len(told) == {"ada": 2}.get(source, 1 if target == "ada" else 0)
        assert all(r.text.endswith("watch list: asked by compliance") for r in told)
        assert [r for r in verdict.reasons if r.code != "watched"] == list(without.reasons)
        assert (verdict.decision, verdict.score) == (without.decision, without.score)
        alerts += [e.alert for e in verdict.ring_events if e.alert is not None]
        assert not any(e.alert.watched for e in without.ring_events if e.alert is not None)
    assert alerts
    assert ADA in alerts[-1].watched


def test_an_alert_names_who_is_watched_when_it_is_told_though_the_batch_goes_on() -> None:
    pairs = [("ada", "bob"), ("bob", "cyd"), ("cyd", "ada"), *[("x", "y")] * 9]
    stream = [
        transfer(n, n * MINUTE if n < 3 else n * HOUR, source, target, 900_000 - n * 10_000)
        for n, (source, target) in enumerate(pairs)
    ]
    single, batched = Detector(CONFIG), Detector(CONFIG)
    for detector in (single, batched):
        detector.refer(ListChange(ADA, ListName.WATCH, expires_at=START + 5 * HOUR))
    verdicts = batched.observe_batch(stream)
    assert verdicts == [single.observe(tx) for tx in stream]
    assert batched.snapshot() == single.snapshot()
    alerts = [e.alert for v in verdicts for e in v.ring_events if e.alert is not None]
    assert any(ADA in alert.watched for alert in alerts)
    assert batched.heuristics.lists.get(ListName.WATCH, ADA) is None


def test_a_replay_with_list_changes_in_it_is_the_same_from_any_cut() -> None:
    """The law of the law: verdicts are a function of what the log says, lists included."""
    names = ["ada", "bob", "cyd", "dan"]
    steps: list[ListChange | Transaction] = []
    for n in range(120):
        steps.append(transfer(n, n * MINUTE, names[n % 4], names[(n * 7 + 1) % 4], 10_000 + n))
        if n % 9 == 4:
            listing = list(ListName)[n // 9 % 3]
            ends = START + (n + 12) * MINUTE if n % 2 else None
            entity = Entity(EntityKind.USER, names[n % 4])
            steps.append(ListChange(entity, listing, n % 5 != 0, "r", "a", ends))

    def run(detector: Detector, part) -> list[bytes]:
        said = []
        for step in part:
            if isinstance(step, ListChange):
                detector.refer(step)
            else:
                said.append(repr(detector.observe(step)).encode())
        return said

    straight = Detector(CONFIG)
    said = run(straight, steps)
    assert any(b"watched" in line for line in said)
    assert any(b"block list" in line for line in said)
    for cut in range(0, len(steps), 17):
        first = Detector(CONFIG)
        before = run(first, steps[:cut])
        resumed = Detector.restore(first.snapshot())
        assert before + run(resumed, steps[cut:]) == said
        assert resumed.snapshot() == straight.snapshot()


def test_a_fact_of_no_known_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no such fact"):
        Detector(CONFIG).refer("ada is a crook")


def test_a_decision_comes_back_from_the_wire_as_it_went_under_the_name_the_codec_gives() -> None:
    change = ListChange(
        Entity(EntityKind.IP, "2001:DB8::1"), ListName.WATCH, True, "seen", "me", START + DAY, START
    )
    message = list_changes.message(change)
    assert message.key == "watch:ip:2001:db8::1"
    back = list_changes.read(message.value)
    assert back.entity == Entity(EntityKind.IP, "2001:db8::1")
    assert (back.reason, back.author, back.expires_at, back.at) == (
        "seen",
        "me",
        START + DAY,
        START,
    )
    assert list_changes.message(back).value == message.value


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        (ListChange(Entity(EntityKind.IP, "no address"), ListName.BLOCK), "ip", "no address"),
        (ListChange(Entity(EntityKind.CARD, "4111111111111111"), ListName.BLOCK), "card", None),
        (ListChange(Entity(EntityKind.USER, ""), ListName.BLOCK), "user", ""),
        (ListChange(Entity(EntityKind.USER, "x" * 129), ListName.BLOCK), "user", "x" * 79 + "…"),
        (ListChange(ADA, ListName.BLOCK, reason="x" * 201), "reason", "x" * 79 + "…"),
        (ListChange(ADA, ListName.BLOCK, author="two\nlines"), "author", "two\ufffdlines"),
        (ListChange(ADA, ListName.BLOCK, expires_at=-5), "expires_at", "-5"),
        (ListChange(ADA, ListName.BLOCK, at=10**30), "at", str(10**30)),
    ],
)
def test_what_cannot_be_listed_is_refused_with_field_value_and_remedy(
    change: ListChange, field: str, value: str | None
) -> None:
    with pytest.raises(InvalidListChange) as caught:
        list_changes.message(change)
    assert (caught.value.field, caught.value.value) == (field, value)
    assert caught.value.remedy


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"schema":"list-change/2"}'])
def test_bytes_that_are_no_decision_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidListChange, match="not a decision"):
        list_changes.read(data)


def test_what_a_blocked_entity_sends_too_late_changes_no_ring() -> None:
    detector, phone = Detector(CONFIG), "phone"
    for n in range(6):
        tx = structs.replace(transfer(n, n * MINUTE, f"u{n}", f"shop{n}"), device_id=phone)
        detector.observe(tx)
    for n in range(6, 10):
        detector.observe(transfer(n, 2 * HOUR, "x", "y"))
    asked = transfer(10, 2 * HOUR, "u1", "z")
    before = detector.observe(asked)
    assert before.ring_score > 0
    detector.refer(ListChange(Entity(EntityKind.USER, "u0"), ListName.BLOCK))
    late = detector.observe(transfer(11, -5 * DAY, "u0", "shop0"))
    assert (late.admission, late.decision) == ("late", Decision.DECLINE)
    after = detector.observe(structs.replace(asked, transaction_id="t12"))
    assert after.ring_score == before.ring_score
