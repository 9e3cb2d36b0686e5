"""The corners of the feature extractor that a random stream seldom reaches."""

from pathlib import Path

import numpy as np
import pytest

from graph.admission import Admission, Link, Status
from graph.entities import EntitySpace
from graph.errors import Incompatible, InvalidSetting
from graph.evidence import SEEN
from graph.transaction import (
    DAY,
    HOUR,
    EntityKind,
    Label,
    Location,
    Money,
    Transaction,
    TransactionType,
)
from graph.window import TransactionWindow, WindowConfig
from scorer import feature_catalogue, feature_kernels
from scorer.feature_catalogue import FEATURES, SCHEMA
from scorer.features import FeatureConfig, FeatureExtractor

START = 1_700_000_000_000
NOTHING = Link(0, 0, 0)
ACCOUNTS = (EntityKind.USER, EntityKind.MERCHANT)
IDENTIFIERS = (EntityKind.DEVICE, EntityKind.IP, EntityKind.CARD)
SMALL = WindowConfig(max_edges=4096, max_accounts=8, max_identifiers=8, max_links=4096)


def payment(
    number: int, user: str = "ann", *, at: int = 0, to: str = "shop", **more
) -> Transaction:
    return Transaction(
        transaction_id=f"t{number}",
        timestamp=START + at,
        type=TransactionType.PAYMENT,
        amount=Money(1_000, "EUR"),
        value=1_000,
        user_id=user,
        merchant_id=to,
        **more,
    )


class Extractor:
    """A window and the features over it."""

    def __init__(self, config: WindowConfig = SMALL, pairs: int = 1024) -> None:
        self.window = TransactionWindow(config)
        self.features = FeatureExtractor(
            self.window.accounts, self.window.identifiers, FeatureConfig(pairs)
        )

    def take(self, tx: Transaction) -> dict[str, float]:
        out = np.zeros(len(SCHEMA.names), np.float32)
        self.features.observe(tx, self.window.add(tx), (), 0.0, out)
        return dict(zip(SCHEMA.names, out.tolist(), strict=True))


def test_there_are_as_many_names_as_the_kernel_fills_places() -> None:
    engine = Extractor()
    row = np.zeros(feature_kernels.ROW, np.int64)
    out = np.zeros(1_000, np.float32)
    computed = [feature for feature in FEATURES if feature.family != "deep"]
    assert feature_kernels.read(engine.features._state, row, out) == len(computed)
    assert all(feature.family == "deep" for feature in FEATURES[len(computed) :])
    assert len(set(SCHEMA.names)) == len(FEATURES) >= 70


def test_the_page_of_features_is_the_printed_catalogue() -> None:
    page = Path(feature_catalogue.__file__).parents[1] / "docs" / "features.md"
    assert page.read_text() == feature_catalogue.markdown()


def test_the_kernel_counts_the_patterns_there_are() -> None:
    assert tuple(pattern.value for pattern in SEEN) == feature_kernels.PATTERNS


def test_every_family_that_is_named_exists() -> None:
    assert SCHEMA.graph_families | SCHEMA.connection_families <= set(SCHEMA.families)


def test_counts_within_a_window_and_after_it() -> None:
    engine = Extractor()
    for number in range(5):
        engine.take(payment(number, at=number))
    soon = engine.take(payment(5, at=HOUR // 2))
    assert soon["user_count_1h"] == soon["user_count_30d"] == 5
    later = engine.take(payment(6, at=10 * HOUR))
    assert (later["user_count_1h"], later["user_count_24h"]) == (0, 6)


def test_whoever_was_away_for_a_year_finds_empty_windows_and_is_still_known() -> None:
    engine = Extractor(
        WindowConfig(
            max_edges=4096, max_accounts=8, max_identifiers=8, max_links=4096, horizon=400 * DAY
        )
    )
    engine.take(payment(0))
    row = engine.take(payment(1, at=365 * DAY))
    assert row["user_count_30d"] == 0
    assert row["warm"] == 1
    assert row["user_seen"] == 365


def test_an_id_given_out_anew_starts_empty() -> None:
    space = EntitySpace(ACCOUNTS, capacity=1, retention=DAY)
    features = FeatureExtractor(
        space, EntitySpace(IDENTIFIERS, capacity=1, retention=DAY), FeatureConfig(64)
    )
    out = np.zeros(len(SCHEMA.names), np.float32)
    for number, (name, warm) in enumerate([("ann", 0), ("ann", 1), ("bob", 0), ("bob", 1)]):
        now = START + number * 2 * DAY if name == "bob" else START
        user = space.intern(EntityKind.USER, name, now, now)
        tx = Transaction(
            f"t{number}", now, TransactionType.WITHDRAWAL, Money(5, "EUR"), 5, user_id=name
        )
        admission = Admission(Status.ACCEPTED, number, user, -1, -1, -1, -1, (NOTHING,) * 4, False)
        features.observe(tx, admission, (), 0.0, out)
        assert user == 0
        assert out[SCHEMA.names.index("warm")] == warm


def test_the_old_owner_of_a_reused_id_is_not_read_by_a_late_transaction() -> None:
    space = EntitySpace(ACCOUNTS, capacity=1, retention=DAY)
    features = FeatureExtractor(
        space, EntitySpace(IDENTIFIERS, capacity=1, retention=DAY), FeatureConfig(64)
    )
    out = np.zeros(len(SCHEMA.names), np.float32)
    tx = Transaction("t", START, TransactionType.WITHDRAWAL, Money(5, "EUR"), 5, user_id="ann")
    space.intern(EntityKind.USER, "ann", START, START)
    features.observe(
        tx, Admission(Status.ACCEPTED, 0, 0, -1, -1, -1, -1, (NOTHING,) * 4, False), (), 0.0, out
    )
    space.intern(EntityKind.USER, "bob", START + 3 * DAY, START + 3 * DAY)
    features.observe(
        tx, Admission(Status.LATE, -1, 0, -1, -1, -1, -1, (NOTHING,) * 4, False), (), 0.0, out
    )
    assert out[SCHEMA.names.index("warm")] == 0
    assert np.isnan(out[SCHEMA.names.index("user_seen")])


def test_a_user_the_window_has_no_room_for_is_a_stranger_every_time() -> None:
    engine = Extractor(
        WindowConfig(max_edges=4096, max_accounts=2, max_identifiers=1, max_links=4096)
    )
    engine.take(payment(0, "ann", device_id="d"))
    for number in (1, 2):
        row = engine.take(payment(number, "bob", device_id="other", at=number))
        assert row["warm"] == 0
        assert row["other_new"] == 1
        assert row["device_users"] == 0
        assert np.isnan(row["user_seen"])
        assert row["other_count_1h"] == number
    assert engine.take(payment(3, "ann", at=3))["user_count"] == pytest.approx(np.log(2))


def test_a_full_table_of_pairs_takes_the_pair_unseen_for_longest_for_new() -> None:
    engine = Extractor(pairs=4)
    for number in range(5):
        engine.take(payment(number, to=f"shop-{number}", at=number))
    assert engine.take(payment(10, to="shop-4", at=10))["other_new"] == 0
    assert engine.take(payment(11, to="shop-0", at=11))["other_new"] == 1


def test_labels_reach_everything_the_transaction_touched_and_nothing_else() -> None:
    engine = Extractor()
    fraud = payment(
        0, device_id="d", card_id="c", ip_address="10.0.0.1", country="DE",
        location=Location("Bonn"), merchant_category="5411", channel="app",
    )  # fmt: skip
    engine.take(fraud)
    engine.features.learn(Label(fraud, fraud=True, known_at=START + DAY))
    row = engine.take(payment(1, "bob", at=1, card_id="c", device_id="e", country="FR"))
    assert row["card_fraud_rate"] > row["device_fraud_rate"] == row["country_fraud_rate"]
    assert row["other_fraud_last"] == 1
    assert row["user_labels"] == 0
    assert np.isnan(row["user_fraud_last"])


def test_a_label_about_someone_never_seen_teaches_what_is_known() -> None:
    engine = Extractor()
    engine.take(payment(0))
    engine.features.learn(Label(payment(9, "nobody", to="shop"), fraud=True, known_at=START))
    row = engine.take(payment(1, at=1))
    assert row["other_labels"] == pytest.approx(np.log(2))
    assert row["user_labels"] == 0


def test_more_texts_than_are_remembered_give_the_same_slots(monkeypatch) -> None:
    engine = Extractor()
    codes = [engine.take(payment(n, at=n, channel=f"c{n % 3}"))["channel_code"] for n in range(3)]
    monkeypatch.setattr("scorer.features._MOST_TEXTS", 1)
    assert [
        engine.take(payment(9 + n, at=9 + n, channel=f"c{n % 3}"))["channel_code"] for n in range(6)
    ] == codes * 2


def test_a_number_of_pairs_that_cannot_work_is_refused_with_the_remedy() -> None:
    for pairs in (0, 2, 1000):
        with pytest.raises(InvalidSetting, match=rf"pairs: .*power of two \(found {pairs}\)"):
            FeatureConfig(pairs)


def test_a_snapshot_of_another_moment_than_the_window_is_refused() -> None:
    engine = Extractor()
    engine.take(payment(0))
    image = engine.features.snapshot()
    engine.take(payment(1, "bob", at=1))
    with pytest.raises(Incompatible, match="found 2 and 0"):
        FeatureExtractor.restore(image, engine.window.accounts, engine.window.identifiers)
    with pytest.raises(Incompatible, match="checksum"):
        FeatureExtractor.restore(
            image[:-1] + b"x", engine.window.accounts, engine.window.identifiers
        )
