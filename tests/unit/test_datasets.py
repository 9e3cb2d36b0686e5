"""Data sets as mappings read them."""

import doctest
import json
import os
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graph.transaction import DAY, EntityKind, Location, Money, Outcome, TransactionType
from ingest import cell_text, codec, datasets, file_formats
from ingest.currencies import RateTable
from ingest.datasets import count, read
from ingest.mapping import DatasetMapping, InvalidMapping, load_mapping, parse_mapping
from ingest.tables import InvalidDataset
from scorer.history import LabelledTransaction
from tests.mapped_files import FIELDS, LABEL, ROWS, mapping, of, of_table

PUBLIC = Path(os.environ.get("RINGFENCE_DATA", Path(__file__).parents[3] / "shared" / "data"))


PAGE = Path(__file__).parents[2] / "docs" / "mapping.md"


needs_public_data = pytest.mark.skipif(
    not PUBLIC.is_dir(), reason="the public data is not here; set RINGFENCE_DATA to its folder"
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


class TestThePage:
    """`docs/mapping.md`: what a stranger copies works, and errors read as the page says."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "payments.csv").write_text(blocks("csv")[0])
        return tmp_path

    def test_the_example_gives_what_it_says(self, folder: Path):
        found = parse_mapping(blocks("toml")[0], "payments")
        history = list(read(folder, found))
        assert len(history) == count(folder, found) == 4
        first, second, _, last = history
        tx = first.transaction
        assert json.loads(blocks("json")[0]) == {
            "transaction_id": tx.transaction_id,
            "timestamp": tx.timestamp,
            "type": tx.type.value,
            "amount": tx.amount.minor,
            "user_id": tx.user_id,
            "merchant_id": tx.merchant_id,
            "fraud": first.fraud,
            "known_at": first.known_at,
        }
        assert (second.ring_id, second.fraud) == ("C-1", True)
        assert (last.fraud, last.known_at, last.ring_id) == (None, None, None)

    def test_the_errors_read_as_shown(self, folder: Path):
        toml = blocks("toml")[0]
        csv = folder / "payments.csv"
        shown = blocks("text")[0].splitlines()
        csv.write_text(csv.read_text().replace("900.00", '"900,00"'))
        with pytest.raises(InvalidDataset) as wrong_amount:
            read(folder, parse_mapping(toml, "payments"))
        csv.write_text(blocks("csv")[0])
        with pytest.raises(InvalidDataset) as wrong_kind:
            read(folder, parse_mapping(toml.replace('equals = "X"', 'equals = "Y"'), "payments"))
        with pytest.raises(InvalidMapping) as wrong_key:
            parse_mapping(toml.replace("[label]", "[lable]"), "payments")
        with pytest.raises(InvalidDataset) as wrong_column:
            read(folder, parse_mapping(toml.replace('"kind"', '"kid"'), "payments"))
        errors = (wrong_amount, wrong_kind, wrong_key, wrong_column)
        assert [str(error.value) for error in errors] == shown

    def test_it_lists_every_key(self):
        page = PAGE.read_text()
        for name in DatasetMapping.__struct_fields__:
            if name != "name":
                pattern = rf"^\| `\[*{name}\]*` \|"
                assert re.search(pattern, page, re.MULTILINE), name


@pytest.mark.parametrize("module", [cell_text, file_formats])
def test_what_the_modules_show(module: ModuleType):
    assert doctest.testmod(module).failed == 0


def test_rows_come_in_the_order_of_time_and_ties_in_that_of_the_files(tmp_path: Path):
    rows = "t,a,u,v\n" + "".join(
        f"2024-01-0{day}T00:00:00Z,1,u{n},v\n" for n, day in enumerate([3, 1, 2, 1, 3])
    )
    found = of(tmp_path, rows)
    assert [each.transaction.user_id for each in found] == ["u1", "u3", "u2", "u0", "u4"]
    assert [each.transaction.transaction_id for each in found] == [
        "m-2",
        "m-4",
        "m-3",
        "m-1",
        "m-5",
    ]


def test_many_chunks_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows = "t,a,u,v\n" + "".join(f"2024-01-01T00:00:{n:02},1,u{n},v\n" for n in range(20))
    whole = of(tmp_path, rows)
    monkeypatch.setattr(datasets, "_CHUNK", 7)
    assert of(tmp_path, rows) == whole


@pytest.mark.parametrize(
    ("row", "field", "what"),
    [
        ("2024-01-01,-1,x,y", "amount", "negative"),
        ("2024-01-01,1.005,x,y", "amount", "EUR has 2 decimals"),
        ("2024-01-01,,x,y", "amount", "there is no value"),
        ("2024-01-01,1,,y", "user_id", "there is no value"),
        ("2024-01-01,1,x,x", "counterparty_id", "cannot pay themselves"),
        ("2024-01-01,1,x,", "counterparty_id", "a transfer has a counterparty_id"),
        (",1,x,y", "timestamp", "there is no value"),
        (f"2024-01-01,1,{'x' * 129},y", "user_id", "longer than 128"),
    ],
)
def test_a_wrong_value_says_column_row_and_what_was_expected(
    tmp_path: Path, row: str, field: str, what: str
):
    with pytest.raises(InvalidDataset, match=re.escape(what)) as caught:
        of(tmp_path, f"{ROWS}{row}\n")
    assert caught.value.field == field
    assert "row 3 of rows.csv" in str(caught.value)
    assert caught.value.remedy


def test_rows_are_numbered_as_in_the_file_also_after_a_drop(tmp_path: Path):
    dropping = mapping('[[drop]]\nwhen = [{ column = "u", equals = "a" }]\n')
    assert [each.transaction.transaction_id for each in of(tmp_path, ROWS, dropping)] == ["m-2"]
    assert count(tmp_path, dropping) == 1
    with pytest.raises(InvalidDataset, match=r"row 3 of rows\.csv"):
        of(tmp_path, ROWS + "2024-01-01,x,y,z\n", dropping)


def test_labels_are_known_after_their_delay(tmp_path: Path):
    rows = "t,a,u,v,l\n" + "".join(f"2024-01-01,1,u,v,{label}\n" for label in ("1", "0", "2", ""))
    found = of(tmp_path, rows, mapping(LABEL))
    assert [each.fraud for each in found] == [True, False, None, None]
    known = found[0].transaction.timestamp + DAY
    assert [each.known_at for each in found] == [known, known, None, None]
    with pytest.raises(InvalidDataset, match=r"label.*row 5.*one of 1, 0, 2 \(found 3\)"):
        of(tmp_path, rows + "2024-01-01,1,u,v,3\n", mapping(LABEL))


KNOWN = LABEL.replace('delay = "1d"', 'known_at = { column = "k", time = "iso", zone = "UTC" }')


def test_labels_are_known_at_the_time_of_a_column(tmp_path: Path):
    head = "t,a,u,v,l,k\n"
    rows = ("1,2024-01-03", "0,2024-01-02", "2,", ",2023-01-01")
    good = head + "".join(f"2024-01-02,1,u,v,{row}\n" for row in rows)
    found = of(tmp_path, good, mapping(KNOWN))
    at = found[0].transaction.timestamp
    assert [(each.fraud, each.known_at) for each in found] == [
        (True, at + DAY),
        (False, at),
        (None, None),
        (None, None),
    ]
    for row, what in (
        ("0,", "no time at which it became known"),
        ("1,2024-01-01T23:59:59.999", r"before its transaction \(2024-01-02T00:00:00"),
    ):
        with pytest.raises(InvalidDataset, match=rf'column "k", row 5 .*{what}') as caught:
            of(tmp_path, f"{good}2024-01-02,1,u,v,{row}\n", mapping(KNOWN))
        assert caught.value.field == "label_known_at"


def test_rings_and_the_values_that_mean_none(tmp_path: Path):
    rows = "t,a,u,v,r\n" + "".join(f"2024-01-01,1,u,v,{ring}\n" for ring in ("7", "-1", "", "x"))
    found = of(tmp_path, rows, mapping('[ring]\ncolumn = "r"\nnone = [-1]\n'))
    assert [each.ring_id for each in found] == ["7", None, None, "x"]
    assert all(each.fraud is None and each.known_at is None for each in found)


def test_addresses_as_numbers_and_as_names(tmp_path: Path):
    rows = "t,a,u,v,i\n2024-01-01,1,u,v,3221225985.7\n"
    (number,) = of(tmp_path, rows, mapping(ip_address='{ column = "i", ip = "integer" }'))
    assert number.transaction.ip_address == "192.0.2.1"
    with pytest.raises(InvalidDataset, match="IPv4 address as an integer"):
        of(
            tmp_path,
            rows.replace("3221225985.7", "-4"),
            mapping(ip_address='{ column = "i", ip = "integer" }'),
        )
    named = mapping(ip_address='{ column = "i", ip = "name" }')
    (place,) = of(tmp_path, rows.replace("3221225985.7", "L100"), named)
    assert place.transaction.ip_address is not None
    assert place.transaction.ip_address.startswith("fd")
    assert [each.kind for each in place.transaction.identifiers] == [EntityKind.IP]


def test_a_card_number_is_refused_and_never_shown(tmp_path: Path):
    rows = "t,a,u,v,c\n2024-01-01,1,u,v,4111 1111 1111 1111\n"
    with pytest.raises(InvalidDataset, match="raw card number") as caught:
        of(tmp_path, rows, mapping(card_id='"c"'))
    assert "4111" not in str(caught.value)


def test_an_account_opened_after_the_transaction_is_refused(tmp_path: Path):
    opened = mapping(user_created_at='{ column = "o", time = "iso", zone = "UTC" }')
    rows = "t,a,u,v,o\n2024-01-01,1,u,v,1950-01-01\n2024-01-01,1,u,v,\n2024-01-01,1,u,v,{}\n"
    found = of(tmp_path, rows.format("2024-01-02"), opened)
    assert [each.transaction.user_created_at for each in found] == [
        -631_152_000_000,
        None,
        1_704_153_600_000,
    ]
    with pytest.raises(InvalidDataset, match=r'column "o", row 3.*opened more than a day after'):
        of(tmp_path, rows.format("2024-01-03"), opened)


def test_attributes_are_kept_as_they_came(tmp_path: Path):
    toml = 'attributes = ["x", "y"]\nfiles = ["*.parquet"]\n[fields]\n' + "\n".join(
        f"{name} = {source}" for name, source in FIELDS.items()
    )
    columns = {"t": ["2024-01-01"] * 2, "a": [1, 1], "u": ["u", "u"], "v": ["v", "v"]}
    found = of_table(tmp_path, parse_mapping(toml, "m"), **columns, x=[0.1, None], y=["q", None])
    assert [dict(each.transaction.attributes) for each in found] == [
        {"x": Decimal("0.1"), "y": "q"},
        {},
    ]


def attributed(folder: Path, **columns: object) -> list[LabelledTransaction]:
    fields = "\n".join(f"{name} = {source}" for name, source in FIELDS.items())
    names = json.dumps(list(columns))
    toml = f'attributes = {names}\nfiles = ["*.parquet"]\n[fields]\n{fields}'
    rows = {"t": ["2024-01-01"] * 2, "a": [1, 1], "u": ["u", "u"], "v": ["v", "v"]}
    return of_table(folder, parse_mapping(toml, "m"), **rows | columns)


def test_what_is_read_with_its_attributes_can_be_written_and_read_as_it_was(tmp_path: Path):
    moments = pa.array([10**18 + 1, None], pa.timestamp("ns"))
    days = pa.array([19_000, 1], pa.date32())
    found = attributed(tmp_path, at=moments, day=days, f=pa.array([0.1, 2.5], pa.float32()))
    assert [dict(each.transaction.attributes) for each in found] == [
        {"at": "2001-09-09T01:46:40.000000001", "day": "2022-01-08", "f": Decimal("0.1")},
        {"day": "1970-01-02", "f": Decimal("2.5")},
    ]
    for each in found:
        again = codec.decode(codec.encode(each.transaction), rates=RateTable("EUR"), now=None)
        assert again == each.transaction


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"x": [float("inf"), 1.0]}, 'x: column "x", row 1 of .*no JSON value'),
        ({"card_nr": ["y", "4111111111111111"]}, "card_nr: .*row 2 of .*raw card number"),
        ({"x": ["z" * 9_000, ""], "y": ["z" * 9_000, ""]}, "attributes: .*row 1 of .*16384 bytes"),
    ],
)
def test_an_attribute_keeps_the_rules_of_the_wire(
    columns: dict[str, object], said: str, tmp_path: Path
):
    with pytest.raises(InvalidDataset, match=said):
        attributed(tmp_path, **columns)


@pytest.mark.parametrize(
    ("name", "said"), [("device_id", "name it under fields"), ("x" * 65, "1 to 64 printable")]
)
def test_an_attribute_is_no_field_and_has_a_name(name: str, said: str, tmp_path: Path):
    with pytest.raises(InvalidMapping, match=said):
        attributed(tmp_path, **{name: ["x", "y"]})


def test_an_amount_of_half_the_width_is_the_decimal_it_stands_for(tmp_path: Path):
    found = attributed(tmp_path, a=pa.array([0.1, 134_217_744.0], pa.float32()))
    assert [each.transaction.amount.minor for each in found] == [10, 13_421_774_400]


def test_a_condition_sees_the_decimal_that_a_number_of_half_the_width_stands_for(tmp_path: Path):
    kept = mapping('[[drop]]\nwhen = [{ column = "x", equals = 0.1 }]\n', files="*.parquet")
    fields = {"t": ["2024-01-01"] * 2, "a": [1, 2], "u": ["u", "u"], "v": ["v", "v"]}
    found = of_table(tmp_path, kept, **fields, x=pa.array([0.1, 0.2], pa.float32()))
    assert [each.transaction.amount.minor for each in found] == [200]


def test_a_party_without_a_column_is_said_to_have_none(tmp_path: Path):
    with pytest.raises(InvalidDataset) as caught:
        of(tmp_path, "t,a,u\n2024-01-01,1,u\n", mapping(counterparty_id=""))
    said = "counterparty_id: no column is mapped, row 1 of rows.csv: a transfer has a counterparty"
    assert str(caught.value).startswith(said)


WIRE = [
    {
        "transaction_id": "t1",
        "timestamp": "2024-05-01T12:00:00Z",
        "type": "payment",
        "amount": "12.50",
        "currency": "USD",
        "user_id": "007",
        "merchant_id": "m1",
        "ip_address": "::ffff:192.0.2.1",
        "location": "52.5,13.4",
        "outcome": "declined",
        "user_created_at": "2020-05-01T00:00:00Z",
        "fraud": True,
        "label_known_at": 1_714_651_200_000,
        "ring_id": "r1",
        "ring_kind": "cycle",
    },
    {
        "transaction_id": "t2",
        "timestamp": "2024-05-01T12:00:01Z",
        "type": "withdrawal",
        "amount": "0.29",
        "currency": "EUR",
        "user_id": "u2",
        "fraud": None,
        "label_known_at": None,
    },
]


LABELS = ("fraud", "label_known_at", "ring_id", "ring_kind")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_our_own_form_reads_as_the_codec_does(tmp_path: Path, suffix: str):
    names = list(WIRE[0])
    file = tmp_path / f"transactions.{suffix}"
    if suffix == "jsonl":
        file.write_text("\n".join(json.dumps(row) for row in WIRE))
    elif suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(WIRE, pa.Table.from_pylist(WIRE[:1]).schema), file)
    else:
        cells = [["" if row.get(n) is None else json.dumps(row[n]) for n in names] for row in WIRE]
        file.write_text("\n".join([",".join(names), *(",".join(row) for row in cells)]))
    shipped = load_mapping("ringfence")
    rates = shipped.rate_table
    assert rates is not None
    wire = [{n: v for n, v in row.items() if n not in LABELS} for row in WIRE]
    expected = [codec.decode(json.dumps(row).encode(), rates=rates, now=None) for row in wire]
    history = list(read(tmp_path, shipped))
    assert [each.transaction for each in history] == expected
    assert [(each.fraud, each.known_at, each.ring_id) for each in history] == [
        (True, 1_714_651_200_000, "r1"),
        (None, None, None),
    ]


@pytest.mark.slow
@needs_public_data
@pytest.mark.parametrize(
    ("name", "folder", "fraud", "legitimate", "unknown", "rings"),
    [
        ("s-ffsd", "s-ffsd", 5_256, 24_387, 48_238, 0),
        ("amlsim-10k", "amlsim-10k", 671, 197_234, 0, 100),
        ("amlsim-20k", "amlsim-20k/20K_cycle200", 1_856, 115_935, 0, 0),
        ("amlsim-20k", "amlsim-20k/20K_fanin200", 1_824, 116_412, 0, 0),
        ("amlsim-20k", "amlsim-20k/20K_fanin200cycle200", 3_540, 117_003, 0, 0),
        ("fraud-ecommerce", "fraud-ecommerce", 2_867, 27_322, 0, 0),
        pytest.param(*("handbook", "handbook", 14_681, 1_739_474, 0, 0), marks=pytest.mark.slow),
    ],
)
def test_public_data(name: str, folder: str, fraud: int, legitimate: int, unknown: int, rings: int):
    shipped = load_mapping(name)
    labels: Counter[bool | None] = Counter()
    seen = set()
    newest = 0
    for each in read(PUBLIC / folder, shipped):
        labels[each.fraud] += 1
        seen.add(each.ring_id)
        assert each.transaction.timestamp >= newest
        newest = each.transaction.timestamp
        assert (each.known_at is None) == (each.fraud is None)
    assert (labels[True], labels[False], labels[None]) == (fraud, legitimate, unknown)
    assert len(seen - {None}) == rings
    assert count(PUBLIC / folder, shipped) == fraud + legitimate + unknown


@pytest.mark.slow
@needs_public_data
def test_the_first_purchase_of_the_web_shop():
    shipped = load_mapping("fraud-ecommerce")
    by_id = {each.transaction.user_id: each for each in read(PUBLIC / "fraud-ecommerce", shipped)}
    found = by_id["u22058"].transaction
    assert (found.type, found.amount) == (TransactionType.PAYMENT, Money(3400, "USD"))
    assert (found.device_id, found.ip_address) == ("QVPSPJUOCKZAR", "43.173.1.96")
    assert found.user_created_at == 1_424_818_500_000
    assert found.attributes["browser"] == "Chrome"


@needs_public_data
def test_a_place_of_s_ffsd_is_shared_like_an_address():
    first = next(read(PUBLIC / "s-ffsd", load_mapping("s-ffsd"))).transaction
    assert first.location == Location("L100")
    assert first.identifiers[0].kind is EntityKind.IP
    assert (first.user_id, first.merchant_id, first.merchant_category) == (
        "S10000",
        "T1000",
        "TP100",
    )
    assert first.outcome is not Outcome.DECLINED
