"""The catalogue of features: name, family, unit and meaning, in the order of a feature row.

`scorer.feature_kernels` computes them in this order, but for the last family, `deep`, which
`scorer.deep_features` reads from the deep analysis. `docs/features.md` is printed from here.
"""

from typing import Final, NamedTuple

from scorer.feature_kernels import FIELDS, GROUPS, PATTERNS
from scorer.ports import FeatureSchema

GRAPH_FAMILIES: Final = frozenset({"sharing", "flow", "evidence", "ring", "deep"})
"""What the tabular rung of an evaluation goes without."""
CONNECTION_FAMILIES: Final = frozenset({"counterparty", "sharing", "ring", "reputation", "deep"})
"""What others did: a verdict calls it a connection, never a deed."""


class Feature(NamedTuple):
    """One column of a feature row."""

    name: str
    family: str
    unit: str
    meaning: str


_WINDOWS: Final = ("1h", "24h", "7d", "30d")


def _amount() -> list[tuple[str, str, str]]:
    return [
        ("value_log", "log units", "ln(1 + value) in whole units of the base currency"),
        ("value_zeros", "digits", "trailing zeros of the amount in its own minor units, at most 6"),
        ("value_z", "sd", "standard score of value_log in the stream so far"),
        ("category_value_z", "sd", "the same among transactions of its merchant category"),
        ("location_value_z", "sd", "the same among transactions of its location"),
    ]


def _time() -> list[tuple[str, str, str]]:
    return [
        (f"{what}_{way}", "-1 to 1", f"{words} (UTC) on a circle")
        for what, words in (("hour", "time of day"), ("weekday", "day of the week"))
        for way in ("sin", "cos")
    ]


def _transaction() -> list[tuple[str, str, str]]:
    return [
        ("type", "code", "payment 0, transfer 1, withdrawal 2, deposit 3, refund 4"),
        ("outcome", "code", "not known 0, authorised 1, declined 2"),
        ("other_kind", "code", "other party: outside -1, user 0, merchant 1"),
        ("identifiers_given", "count", "how many of device, IP and card were given"),
        ("channel_code", "slot", "hash slot of the channel"),
        ("country_code", "slot", "hash slot of the country"),
        ("category_code", "slot", "hash slot of the merchant category"),
        ("category_share", "log share", "ln of its category's share of the stream so far"),
    ]


def _behaviour() -> list[tuple[str, str, str]]:
    return [
        ("warm", "0 or 1", "the user has earlier transactions of its own"),
        ("user_count", "log count", "ln(1 + the user's earlier transactions)"),
        ("user_value_z", "sd", "standard score of value_log in the user's past"),
        ("user_value_to_mean", "ratio", "value over the user's mean"),
        ("user_value_to_max", "ratio", "value over the user's largest"),
        ("user_value_to_recent", "ratio", "value over the user's moving mean (step 0.3)"),
        ("user_value_to_last", "ratio", "value over the user's last"),
        ("user_value_spread", "log units", "standard deviation of the user's value_log"),
        (
            "user_hour_surprise",
            "nats",
            "-ln of the share of the user's past in this 3 h of the day",
        ),
        ("user_gap", "log s", "ln(1 + seconds since the user's last transaction)"),
        ("user_gap_z", "sd", "standard score of user_gap in the user's past"),
        ("user_account_age", "days", "since the user's account was opened (user_created_at)"),
        ("user_seen", "days", "since the user was first seen, on either side"),
        ("user_repeats", "count", "equal amounts in a row by the user before this one"),
        ("user_country_changed", "0 or 1", "another country than the user's last"),
        ("user_location_changed", "0 or 1", "another location than the user's last"),
        (
            "user_declined_share",
            "share",
            "declined share of the user's attempts, decaying over 1 d",
        ),
        (
            "user_value_to_usual",
            "ratio",
            "value over the user's geometric mean, in which none counts over 2.5 times it",
        ),
        ("user_peak_recent", "ratio", "highest of these ratios, decaying over 14 d"),
    ]


def _counterparty() -> list[tuple[str, str, str]]:
    return [
        ("other_count", "log count", "ln(1 + earlier transactions with the other party)"),
        ("other_value_z", "sd", "standard score of value_log in the other party's past"),
        ("other_value_to_max", "ratio", "value over the other party's largest"),
        ("other_value_mean", "log units", "mean value_log of the other party"),
        ("other_gap", "log s", "ln(1 + seconds since the other party's last transaction)"),
        ("other_repeats", "count", "equal amounts in a row at the other party before this one"),
        ("other_seen", "days", "since the other party was first seen"),
        ("other_declined_share", "share", "declined share of attempts there, decaying over 1 d"),
    ]


def _velocity() -> list[tuple[str, str, str]]:
    rows = []
    for who, words in (("user", "the user's side"), ("other", "the other party's side")):
        rows += [
            (f"{who}_count_{w}", "count", f"earlier transactions in {w}, {words} (out or in)")
            for w in _WINDOWS
        ]
        rows += [
            (f"{who}_sum_{w}", "log units", f"ln(1 + money moved in {w}), {words} (out or in)")
            for w in _WINDOWS
        ]
        rows.append(
            (f"{who}_burst", "ratio", f"24 h against the daily mean of 30 d, {words}, both + 1")
        )
    for what in ("device", "ip", "card"):
        rows += [
            (f"{what}_count_{w}", "count", f"earlier transactions with the {what} in {w}")
            for w in _WINDOWS
        ]
        rows.append((f"{what}_sum_24h", "log units", f"ln(1 + money moved with the {what} in 24h)"))
        rows.append(
            (f"{what}_declined_share", "share", f"declined share with the {what}, over 1 d")
        )
    return rows


def _novelty() -> list[tuple[str, str, str]]:
    rows = [
        ("other_new", "0 or 1", "the user never dealt with the other party before"),
        ("other_pair_count", "log count", "ln(1 + the user's transactions with the other party)"),
        ("other_pair_gap", "log s", "ln(1 + seconds since the last of them)"),
        ("other_pair_value_ratio", "ratio", "value over the last of them"),
    ]
    for what in ("device", "ip", "card"):
        rows += [
            (f"{what}_links", "count", f"the user's uses of the {what} in 30 d"),
            (f"{what}_link_age", "days", f"since the user first used the {what}"),
        ]
    rows.append(("new_together", "count", "how many of other party, device, IP, card are new"))
    rows += [
        (f"{field}_familiarity", "log count", f"ln(1 + the user's transactions with the {field})")
        for field in FIELDS
    ]
    rows += [
        ("base_new_users", "share", "recent share of first transactions in the whole stream"),
        ("base_new_others", "share", "recent share of new other parties in the whole stream"),
    ]
    return rows


def _sharing() -> list[tuple[str, str, str]]:
    rows = [
        ("user_others", "count", "distinct other parties of the user"),
        ("user_new_others", "count", "of them new, decaying over 7 d"),
        ("user_devices", "count", "distinct devices of the user"),
        ("user_ips", "count", "distinct IPs of the user"),
        ("user_cards", "count", "distinct cards of the user"),
        ("other_users", "count", "distinct users of the other party"),
        ("other_new_users", "count", "of them new, decaying over 7 d"),
    ]
    for what in ("device", "ip", "card"):
        rows += [
            (f"{what}_users", "count", f"distinct users of the {what}"),
            (f"{what}_new_users", "count", "of them new, decaying over 7 d"),
        ]
    return rows


def _flow() -> list[tuple[str, str, str]]:
    return [
        ("user_in_sum_24h", "log units", "ln(1 + money that came in to the user in 24 h)"),
        ("user_out_to_in_24h", "ratio", "money out, with this, over money in, 24 h"),
        ("user_since_in", "log s", "ln(1 + seconds since money last came in)"),
        ("user_value_to_last_in", "ratio", "value over the last amount that came in"),
        ("user_in_count", "log count", "ln(1 + transactions in)"),
        ("user_senders", "log count", "ln(1 + distinct users who named this user other party)"),
        ("other_out_count", "log count", "ln(1 + transactions out of the other party)"),
        ("other_out_to_in_24h", "ratio", "the other party's money out over in, 24 h"),
        ("other_since_out", "log s", "ln(1 + seconds since money last left the other party)"),
        (
            "reverse_pair_count",
            "log count",
            "ln(1 + transactions of the other party with the user)",
        ),
    ]


def _evidence() -> list[tuple[str, str, str]]:
    rows = [
        (f"evidence_{pattern}", "count", f"pieces of {pattern} evidence completed now")
        for pattern in PATTERNS
    ]
    rows.append(("evidence_strength", "0 to 1", "strongest of them"))
    rows += [
        (f"user_past_{group}", "count", f"evidence of {group} around the user, over 7 d")
        for group in GROUPS
    ]
    return rows


def _ring() -> list[tuple[str, str, str]]:
    return [("ring_score", "0 to 1", "score of the strongest ring it touches")]


def _memory(what: str, words: str) -> list[tuple[str, str, str]]:
    return [
        (f"{what}_fraud_rate", "share", f"known fraud share of {words}, towards the base rate"),
        (f"{what}_fraud_recent", "share", "the same, decaying over 30 d of event time"),
        (f"{what}_fraud_news", "share", "the same, decaying over 7 d since labels became known"),
    ]


def _known(what: str, words: str) -> tuple[str, str, str]:
    return (f"{what}_labels", "log count", f"ln(1 + labels known of {words})")


def _party_memory(what: str, words: str) -> list[tuple[str, str, str]]:
    return [
        *_memory(what, words),
        _known(what, words),
        (f"{what}_fraud_last", "share", "known fraud share, decaying label by label (step 0.2)"),
        (f"{what}_since_fraud", "days", f"since the last known fraud of {words}"),
        (f"{what}_fraud_row", "count", "known frauds in a row, up to the newest label"),
        (f"{what}_fraud_row_began", "days", "since the first of these"),
    ]


def _labels() -> list[tuple[str, str, str]]:
    return [
        ("base_fraud", "share", "fraud among all labels, decaying label by label (step 0.002)"),
        *_party_memory("user", "the user"),
    ]


def _reputation() -> list[tuple[str, str, str]]:
    rows = _party_memory("other", "the other party")
    for what in ("device", "ip", "card"):
        rows += [*_memory(what, f"the {what}"), _known(what, f"the {what}")]
    for field in FIELDS:
        rows += _memory(field, f"the {field}")
    rows += [
        (f"other_past_{group}", "count", f"evidence of {group} around the other party, over 7 d")
        for group in GROUPS
    ]
    return rows


_DEEP: Final = (
    ("component_size", "count", "users joined to it by shared devices and cards"),
    ("cycle_size", "count", "users its money can reach and come back from"),
    ("core", "count", "core number among users who pay each other"),
    ("pagerank", "rank", "PageRank of the money between users; 0.15 = nobody pays it"),
    ("fraud_rank", "rank", "PageRank personalised from accounts known for fraud"),
    ("betweenness", "share", "share of shortest money paths between users that pass through it"),
    ("twin", "0 to 1", "Jaccard similarity of devices and cards with its most similar user"),
    ("community_size", "count", "users of its community"),
    ("community_fraud", "share", "share of them known for fraud"),
)
DEEP_COLUMNS: Final = tuple(name for name, _, _ in _DEEP)
"""Columns of a deep analysis that become features, of the user and of the other party."""


def _deep() -> list[tuple[str, str, str]]:
    return [
        *(
            (f"deep_{who}_{name}", unit, f"{meaning}; {words}")
            for who, words in (("user", "the user"), ("other", "the other party"))
            for name, unit, meaning in _DEEP
        ),
        ("deep_same_community", "0 or 1", "user and other party are of one community"),
        ("deep_age", "days", "since the newest transaction the analysis saw"),
    ]


FEATURES: Final = tuple(
    Feature(name, family.__name__.lstrip("_"), unit, meaning)
    for family in (
        _amount,
        _time,
        _transaction,
        _behaviour,
        _counterparty,
        _velocity,
        _novelty,
        _sharing,
        _flow,
        _evidence,
        _ring,
        _labels,
        _reputation,
        _deep,
    )
    for name, unit, meaning in family()
)

SCHEMA: Final = FeatureSchema(
    names=tuple(feature.name for feature in FEATURES),
    families=tuple(feature.family for feature in FEATURES),
    graph_families=GRAPH_FAMILIES,
    connection_families=CONNECTION_FAMILIES,
)

RING_SCORE: Final = SCHEMA.names.index("ring_score")
"""Its column in a row."""


_PREAMBLE: Final = """\
# Features

Printed from `scorer/feature_catalogue.py` by `python -m scorer.feature_catalogue`; edit it there.

{count} features, float32, NaN where nothing is known. One compiled kernel computes them, the same
online and offline, as of just before the transaction's own effect. A late, early or duplicate
transaction reads them and changes nothing. Those of the family `deep` come from the last run of the
[deep analysis](deep-analysis.md) that saw only earlier transactions; without one they are NaN.

- Money is compared in whole units of the base currency; a ratio adds one unit to both sides.
- Counts and sums over 1 h, 24 h, 7 d and 30 d take the covered share of the oldest sixth of the
  window and the rest whole: they err by at most what fell into that sixth.
- Figures that decay over a time t give an event of age a the weight exp(-a / t).
- Rates of fraud rest on labels already known and are drawn towards the base rate, by four labels
  of all time, by one label where recent.
- Channel, country, category and location are told apart by 1,024 hash slots each. "New" and
  "distinct" rest on a bounded table that forgets its oldest pairs when full.
- Figures that only grow with the stream are left out: a model would read the date from them.

Families {graph} need the graph. Families {connection} say what others did.

| name | family | unit | meaning |
|---|---|---|---|
"""


def markdown() -> str:
    """The page `docs/features.md`."""
    preamble = _PREAMBLE.format(
        count=len(FEATURES),
        graph=", ".join(f"`{family}`" for family in sorted(GRAPH_FAMILIES)),
        connection=", ".join(f"`{family}`" for family in sorted(CONNECTION_FAMILIES)),
    )
    rows = [f"| `{f.name}` | {f.family} | {f.unit} | {f.meaning} |\n" for f in FEATURES]
    return preamble + "".join(rows)


if __name__ == "__main__":
    import sys

    sys.stdout.write(markdown())
