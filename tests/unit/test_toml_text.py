"""TOML that no reader of ours can use is said to be so, by every one of them."""

import doctest
from collections.abc import Callable
from pathlib import Path

import pytest

import graph.toml_text
from api.lists import read_lists
from api.settings import Settings
from graph.errors import RingfenceError
from graph.toml_text import DEEPEST, NotToml, read_toml
from ingest.currencies import rates_from_toml
from ingest.mapping import load_mapping
from scorer.policy_file import load_policy

READERS = {
    "mapping": load_mapping,
    "policy": load_policy,
    "lists": read_lists,
    "rates": rates_from_toml,
    "settings": lambda path: Settings.load({}, config=path),
}
DEEP = {
    "arrays": "a = " + 5_000 * "[" + 5_000 * "]",
    "tables": "a = " + 2_000 * "{a = " + "1" + 2_000 * "}",
    "dots": ".".join(2_000 * "a") + " = 1",  # which the parser itself does not mind
    "head": f"[{'.'.join(2_000 * 'a')}]",
}


def test_what_the_page_says() -> None:
    assert doctest.testmod(graph.toml_text).failed == 0


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_what_is_nested_deeply_is_refused_with_place_and_remedy(
    tmp_path: Path, read: Callable[[Path], object], text: str
) -> None:
    path = tmp_path / "deep.toml"
    path.write_text(text)
    with pytest.raises(RingfenceError, match=f"nested too deeply.*more than {DEEPEST} levels") as e:
        read(path)
    assert e.value.exit_code == 2
    assert "deep" in str(e.value)
    assert "Take the inner ones out" in str(e.value)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_number_no_int_is_made_of_is_no_toml(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "long.toml"
    path.write_text("a = 1" + 5_000 * "0")
    with pytest.raises(RingfenceError, match="is not TOML: exceeds the limit"):
        read(path)


@pytest.mark.parametrize("text", ['a = "b"', "# a remark\na = 'b'", "\na = 'b'"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "windows.toml"
    path.write_text(text, encoding="utf-8-sig")
    assert read_toml(path.read_text(encoding="utf-8")) == {"a": "b"}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_every_reader_takes_a_byte_order_mark(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "windows.toml"
    path.write_text("nothing_of_this_name = 1", encoding="utf-8-sig")
    with pytest.raises(RingfenceError, match="nothing_of_this_name") as caught:
        read(path)
    assert "TOML" not in caught.value.what


def test_so_many_levels_and_no_more() -> None:
    def nested(levels: int) -> str:
        return "a = " + levels * "[" + levels * "]"

    assert read_toml(nested(DEEPEST - 1))
    with pytest.raises(NotToml):
        read_toml(nested(DEEPEST))
