"""The list board's event time: what the newest verdicts agree on, however many late ones follow."""

from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from api.list_board import ListBoard
from graph.lists import ListChange, ListName, Lists
from graph.transaction import Entity, EntityKind
from ingest import list_changes
from ingest.embedded import EmbeddedLog
from ingest.ports import Message, Topic
from tests import cached_world as world

START, ENDS, AFTER = 1_000_000, 2_000_000, 3_000_000
BAD = Entity(EntityKind.USER, "bad")
Append = Callable[..., None]


class Counting(EmbeddedLog):
    """A log that counts the verdicts it is asked for."""

    verdicts = 0

    def read(self, topic, partition, offset, limit):
        found = super().read(topic, partition, offset, limit)
        self.verdicts += len(found) if topic is Topic.VERDICTS else 0
        return found


@pytest.fixture(scope="module")
def verdict(tmp_path_factory):
    log = EmbeddedLog(tmp_path_factory.mktemp("one") / "log.db")
    with world.engine(log) as engine:
        (found,) = world.score(engine, 0)
    log.close()
    return found


@pytest.fixture
def log(tmp_path) -> Iterator[Counting]:
    found = Counting(tmp_path / "log.db")
    yield found
    found.close()


@pytest.fixture
def append(log, verdict) -> Append:
    """Appends verdicts of this admission at these times."""

    def told(admission: str, *times: int) -> None:
        first = log.bounds(Topic.VERDICTS, 0).next
        log.append(
            [
                Message(
                    Topic.VERDICTS,
                    0,
                    world.render(
                        replace(verdict, transaction_id=key, timestamp=time, admission=admission)
                    ),
                    key,
                )
                for key, time in ((f"v{first + n}", time) for n, time in enumerate(times))
            ]
        )

    return told


@pytest.fixture
def board(log) -> ListBoard:
    change = ListChange(BAD, ListName.BLOCK, expires_at=ENDS)
    log.append([list_changes.message(change)])
    return ListBoard(log, Lists())


@pytest.mark.parametrize("late", [0, 8, 60, 300])
def test_late_verdicts_do_not_hide_that_an_entry_has_ended(late, log, append, board) -> None:
    append("accepted", *[START] * 5)
    board.catch_up_fully()
    assert board.get(ListName.BLOCK, BAD) is not None
    append("accepted", *[AFTER] * 3)
    append("late", *[START] * late)
    board.catch_up_fully()
    assert board.event_time == AFTER
    assert board.get(ListName.BLOCK, BAD) is None


def test_accepted_ones_that_are_out_of_order_do_not_hide_it_either(append, board) -> None:
    append("accepted", *[AFTER] * 3, *[ENDS - 1] * 20)
    board.catch_up_fully()
    assert board.event_time == AFTER


def test_witnesses_are_remembered_from_look_to_look(append, board) -> None:
    for _ in range(3):
        append("accepted", AFTER)
        append("late", *[START] * 600)
        board.catch_up_fully()
    assert board.event_time == 0  # 600 late ones a time hid every accepted one
    for _ in range(3):
        append("late", *[START] * 30)
        append("accepted", AFTER)
        board.catch_up_fully()
    assert board.event_time == AFTER


def test_of_thousands_of_verdicts_few_are_read(log, append, board) -> None:
    append("accepted", *range(START, START + 2_000))
    board.catch_up_fully()
    assert log.verdicts == 8
    assert board.event_time == START + 1_997
    append("late", *[START] * 2_000)
    board.catch_up_fully()
    assert log.verdicts == 8 + 512
    board.catch_up_fully()
    assert log.verdicts == 8 + 512
