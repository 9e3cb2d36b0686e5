import pytest

from graph.transaction import DAY, HOUR, MINUTE
from ingest.currencies import RateTable
from ingest.mapping import (
    DatasetMapping,
    InvalidMapping,
    duration,
    instant,
    load_mapping,
    parse_mapping,
    shipped_names,
)

MINIMAL = """
files = ["a.csv"]
[fields]
timestamp = "t"
type = { constant = "transfer" }
amount = "a"
currency = { constant = "EUR" }
user_id = "u"
"""

KNOWN_AT = (
    MINIMAL
    + """
[label]
column = "x"
fraud = [1]
legitimate = [0]
known_at = { SOURCE }
"""
)


def changed(old: str, new: str) -> DatasetMapping:
    assert old in MINIMAL
    return parse_mapping(MINIMAL.replace(old, new), "m")


def refusal(text: str) -> InvalidMapping:
    with pytest.raises(InvalidMapping) as caught:
        parse_mapping(text, "m")
    assert caught.value.field is not None
    assert caught.value.field.startswith("mapping m")
    return caught.value


def test_a_bare_name_stands_for_a_column():
    mapping = parse_mapping(MINIMAL, "m")
    assert mapping.name == "m"
    assert mapping.sources["amount"].column == "a"
    assert mapping.sources["type"].constant == "transfer"


def test_every_folder_of_the_public_data_has_a_mapping():
    assert shipped_names() == (
        "amlsim-10k",
        "amlsim-20k",
        "fraud-ecommerce",
        "handbook",
        "ringfence",
        "s-ffsd",
    )


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_mappings_load_by_name_and_say_what_they_are(name: str):
    mapping = load_mapping(name)
    assert mapping.name == name
    assert mapping.description
    assert mapping.label is not None
    assert mapping.rate_table is not None


def test_the_split_of_the_handbook():
    evaluation = load_mapping("handbook").evaluation
    assert evaluation is not None
    assert evaluation.periods is not None
    train_from, train_until, test_from, test_until = evaluation.periods
    assert train_from == instant("2018-05-01")
    assert train_until == instant("2018-08-01")
    assert (test_from - train_until, test_until - test_from) == (7 * DAY, 7 * DAY)
    assert evaluation.known_since_ms == instant("2018-07-25")


@pytest.mark.parametrize(
    ("extra", "place", "nearest"),
    [
        ("[lable]\ncolumn = 'x'\n", "mapping m", "label"),
        ("[label]\ncolum = 'x'\n", "mapping m.label", "column"),
        ("device_id = { colum = 'x' }\n", "mapping m.fields", "column"),
        ("[[drop]]\nwhen = [{ column = 'x', equal = 1 }]\n", "mapping m.drop.when", "equals"),
        ("[[join]]\nflie = 'x'\n", "mapping m.join", "file"),
        ("[evaluation]\nprotocoll = 'x'\n", "mapping m.evaluation", "protocol"),
        (
            "[label]\nfraud_when = [{ column = 'x', equals = 1 }]\nknown_at = { colum = 'x' }",
            "mapping m.label.known_at",
            "column",
        ),
    ],
)
def test_an_unknown_key_names_the_nearest_one(extra: str, place: str, nearest: str):
    found = refusal(MINIMAL + extra)
    assert found.field == place
    assert f"Did you mean {nearest}?" in found.remedy


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (MINIMAL.replace('files = ["a.csv"]', ""), "files"),
        (MINIMAL.replace('["a.csv"]', "[]"), "at least one pattern"),
        (MINIMAL.replace('["a.csv"]', '["../a.csv"]'), "inside the data folder"),
        (MINIMAL.replace('["a.csv"]', '["/a.csv"]'), "inside the data folder"),
        (MINIMAL.replace('["a.csv"]', '"a.csv"'), "array"),
        (MINIMAL.replace('user_id = "u"', ""), "fields needs user_id"),
        (MINIMAL + 'usr_id = "u"\n', "Did you mean user_id?"),
        (MINIMAL + "merchant_id = { prefix = 'm' }\n", "either column or constant"),
        (MINIMAL + "merchant_id = { column = 'm', constant = 'n' }\n", "either column or constant"),
        (MINIMAL + "transaction_id = { constant = 'n' }\n", "cannot be constant"),
        (MINIMAL.replace('"t"', '{ column = "t", time = "pattern" }'), "pattern belongs"),
        (MINIMAL.replace('"t"', '{ column = "t", time = "days" }'), "origin belongs"),
        (MINIMAL.replace('"t"', '{ column = "t", origin = "2020-01-01" }'), "origin belongs"),
        (
            MINIMAL.replace('"t"', '{ column = "t", time = "days", origin = "2020-01-01T00:00" }'),
            "not a time",
        ),
        (MINIMAL.replace('"t"', '{ column = "t", time = "week" }'), "week"),
        (MINIMAL + "[label]\ncolumn = 'x'\nfraud = [1]\n", "legitimate"),
        (MINIMAL + "[label]\ncolumn = 'x'\nfraud = [1]\nlegitimate = [0]\n", "delay"),
        (
            MINIMAL + "[label]\ncolumn = 'x'\nfraud = [1]\nlegitimate = [0]\ndelay = '1w'",
            "duration",
        ),
        (MINIMAL + "[label]\ndelay = '1d'\n", "either column or fraud_when"),
        (MINIMAL + "[[drop]]\nwhen = []\n", "at least one condition"),
        (MINIMAL + "[[drop]]\nwhen = [{ column = 'x' }]\n", "give one of equals"),
        (MINIMAL + "[[join]]\nfile = 'x'\non = {}\ncolumns = {}\n", "on has one pair"),
        (MINIMAL + "[evaluation]\ntrain_from = 2020-01-01\n", "all four"),
        (MINIMAL + "[evaluation]\nknown_since = 2020-01-01\n", "belongs to"),
        (MINIMAL + "[evaluation]\nshares = [0.6, 0.2, 0.2]\n", "temporal split is 60/20/20"),
        (MINIMAL.replace('["a.csv"]', '["a**b"]'), "names no file (found a**b)"),
        (MINIMAL.replace('["a.csv"]', '["."]'), "names no file (found .)"),
        (MINIMAL.replace('["a.csv"]', '["\\u0000"]'), "names no file"),
        (MINIMAL.replace('"u"', '{ column = "u", optional = true }'), "user_id cannot be optional"),
        (MINIMAL.replace('"a"', '{ column = "a", optional = true }'), "amount cannot be optional"),
        (MINIMAL.replace('"t"', '{ constant = "2024-01-01T00:00:00Z" }'), "cannot be constant"),
        (MINIMAL + "user_created_at = { constant = 'x' }\n", "user_created_at cannot be constant"),
        (
            MINIMAL.replace('"a"', '{ column = "a", values = { x = "1" } }'),
            "amount takes no values",
        ),
        (MINIMAL.replace('"a"', '{ column = "a", prefix = "1" }'), "amount takes no prefix"),
        (MINIMAL.replace('"t"', '{ column = "t", values = { x = "1" } }'), "takes no values"),
        (MINIMAL + "location = { column = 'p', prefix = 'x' }\n", "location takes no prefix"),
        (MINIMAL + "merchant_id = { constant = 'm', prefix = 'x' }\n", "belong to a column"),
        (
            MINIMAL + "[label]\ncolumn = 'x'\nfraud = [true]\nlegitimate = [false, 'true']\n",
            "true is under fraud and under legitimate",
        ),
        (
            MINIMAL + "[label]\ncolumn = 'x'\nfraud = [1]\nlegitimate = [0]\nunknown = [0.0]\n",
            "0 is under legitimate and under unknown",
        ),
        (
            MINIMAL + "[label]\ncolumn = 'x'\nfraud = ['1.0', 'True']\nlegitimate = [true]\n",
            "true is under fraud and under legitimate",
        ),
        (KNOWN_AT.replace("SOURCE", "constant = '2024-01-01'"), "known_at cannot be constant"),
        (
            KNOWN_AT.replace("SOURCE", "column = 'k', optional = true"),
            "known_at cannot be optional",
        ),
        (KNOWN_AT.replace("SOURCE", "column = 'k', values = { x = 'y' }"), "takes no values"),
        ("files = [\n", "not TOML"),
        ("delimiter = ';;'\n" + MINIMAL, "one character"),
        (MINIMAL + "[rates]\nbase = 'EUR'\nUSD = '-1'\n", "positive decimal"),
        (MINIMAL + "[rates]\nbase = 'XYZ'\n", "not a currency"),
        (MINIMAL + "[rates]\nbase = 'USD'\n", "no rate to USD"),
        (MINIMAL.replace('"EUR"', '"EURO"'), "not a currency"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused(text: str, what: str):
    assert what in str(refusal(text))


LABEL = "[label]\nfraud_when = [{ column = 'x', equals = 1 }]\ndelay = '1d'\n"


@pytest.mark.parametrize(
    ("text", "place", "value"),
    [
        (
            MINIMAL + "merchant_id = { column = 'm', round = true }",
            "fields.merchant_id.round",
            "true",
        ),
        (MINIMAL + "channel = { column = 'c', ip = 'name' }", "fields.channel.ip", "name"),
        (MINIMAL + "device_id = { column = 'd', zone = 'UTC' }", "fields.device_id.zone", "UTC"),
        (MINIMAL + "location = { column = 'p', time = 'iso' }", "fields.location.time", "iso"),
        (
            MINIMAL + "country = { column = 'c', time = 'pattern', pattern = '%Y' }",
            "fields.country.time",
            "pattern",
        ),
        (
            MINIMAL + "outcome = { constant = 'approved', time = 'days', origin = 2020-01-01 }",
            "fields.outcome.time",
            "days",
        ),
        (MINIMAL.replace('"a"', '{ column = "a", ip = "name" }'), "fields.amount.ip", "name"),
        (
            MINIMAL.replace('"t"', '{ column = "t", round = true }'),
            "fields.timestamp.round",
            "true",
        ),
        (
            MINIMAL.replace('"t"', '{ column = "t", time = "epoch_s", zone = "UTC" }'),
            "fields.timestamp.zone",
            "UTC",
        ),
        (
            MINIMAL + "ip_address = { constant = '::1', ip = 'name' }",
            "fields.ip_address.ip",
            "name",
        ),
        (
            MINIMAL + "ip_address = { column = 'i', ip = 'name', values = { a = '::1' } }",
            "fields.ip_address.ip",
            "name",
        ),
        (
            MINIMAL + "ip_address = { column = 'i', ip = 'name', prefix = 'x' }",
            "fields.ip_address.prefix",
            "x",
        ),
        (KNOWN_AT.replace("SOURCE", "column = 'k', round = true"), "label.known_at.round", "true"),
        (
            KNOWN_AT.replace("SOURCE", "column = 'k', time = 'epoch_ms', zone = 'UTC'"),
            "label.known_at.zone",
            "UTC",
        ),
        *(
            (
                MINIMAL.replace('"t"', '{ column = "t", zone = "UTC" }').replace("a.csv", file),
                "fields.timestamp.zone",
                "UTC",
            )
            for file in ("a.csv", "a.jsonl.gz")  # text, of which a time of the wire has an offset
        ),
        (KNOWN_AT.replace("SOURCE", "column = 'k', zone = 'UTC'"), "label.known_at.zone", "UTC"),
        (MINIMAL + LABEL + "legitimate = [0]", "label.legitimate", "[0]"),
        (MINIMAL + LABEL + "unknown = [2]", "label.unknown", "[2]"),
        ("delimiter = ';'\n" + MINIMAL.replace("a.csv", "a.parquet"), "delimiter", ";"),
        ("null = ['NA']\nformat = 'jsonl'\n" + MINIMAL, "null", "NA"),
        ("null = ['NA']\n" + MINIMAL.replace("a.csv", "a.jsonl.gz"), "null", "NA"),
    ],
)
def test_a_key_that_would_do_nothing_is_refused(text: str, place: str, value: str):
    found = refusal(text)
    assert (found.field, found.value) == (f"mapping m.{place}", value)
    assert found.what.startswith("this key does nothing here")
    assert found.remedy.startswith(f"Take {place.rpartition('.')[2]} out")


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL.replace('"t"', '{ column = "t", zone = "UTC" }').replace(
            "a.csv", "a.parquet"
        ),  # a column of times without one
        MINIMAL.replace('"t"', '{ column = "t", zone = "UTC" }').replace("a.csv", "*"),
        MINIMAL.replace('{ constant = "EUR" }', '{ constant = "JPY" }').replace(
            '"a"', '{ constant = "12.5", round = true }'
        ),
        "delimiter = ';'\nformat = 'csv'\n" + MINIMAL.replace("a.csv", "a.txt"),
        "null = ['NA']\n" + MINIMAL.replace("a.csv", "*"),
        "delimiter = ';'\n"
        + MINIMAL.replace("a.csv", "a.parquet")
        + "[[join]]\nfile = 'b.csv'\non = { k = 'k' }\ncolumns = { x = 'y' }\n",
    ],
)
def test_a_key_that_may_do_something_is_not(text: str):
    assert parse_mapping(text, "m")


def test_training_comes_before_the_test():
    days = (
        "train_from = 2020-02-01\ntrain_until = 2020-01-01\n"
        "test_from = 2020-03-01\ntest_until = 2020-04-01\n"
    )
    assert "before the test" in str(refusal(MINIMAL + "[evaluation]\n" + days))


def test_an_unknown_name_lists_those_that_ship():
    with pytest.raises(InvalidMapping, match="Did you mean handbook") as caught:
        load_mapping("handbok")
    assert all(name in caught.value.remedy for name in shipped_names())


def test_durations_and_instants():
    assert [duration(text) for text in ("0s", "15m", "12h", "7d")] == [
        0,
        15 * MINUTE,
        12 * HOUR,
        7 * DAY,
    ]
    assert instant("1970-01-02") == DAY
    assert instant("1970-01-02T01:00:00+01:00") == DAY


def test_dates_may_be_quoted_or_not():
    quoted = changed('"t"', '{ column = "t", time = "days", origin = "2020-01-01" }')
    bare = changed('"t"', '{ column = "t", time = "days", origin = 2020-01-01 }')
    assert quoted == bare


def test_one_constant_currency_needs_no_rates():
    assert parse_mapping(MINIMAL, "m").rate_table == RateTable("EUR")
    column = changed('{ constant = "EUR" }', '"c"')
    assert column.rate_table is None
