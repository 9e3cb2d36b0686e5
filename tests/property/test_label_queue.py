"""Labels wait as in a sorted list, however they are put and taken, and across a restart."""

from hypothesis import given
from hypothesis import strategies as st

from graph.transaction import HOUR, Label
from scorer.label_queue import LabelQueue
from tests.oracles.streams import transaction

# Around the borders of hours, where labels change from waiting in no order to waiting in order.
MOMENTS = st.builds(
    lambda hour, beside: hour * HOUR + beside, st.integers(0, 5), st.sampled_from([-1, 0, 1, 2, 99])
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), MOMENTS),
        st.tuples(st.just("due"), MOMENTS),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS)
def test_labels_wait_as_in_a_sorted_list(steps: list[tuple[str, int]]) -> None:
    queue, oracle = LabelQueue(), []
    for number, (what, moment) in enumerate(steps):
        if what == "put":
            label = Label(transaction(number, 0, "u0", "u1", 1), True, moment)
            queue.put(label)
            oracle.append((moment, number, label))
        elif what == "due":
            oracle.sort(key=lambda entry: entry[:2])
            due = [entry[2] for entry in oracle if entry[0] <= moment]
            del oracle[: len(due)]
            assert queue.due(moment) == due
        else:
            before = queue.state()
            queue = LabelQueue.of_state(*before)
            assert queue.state() == before
    assert queue.due(10 * HOUR) == [
        entry[2] for entry in sorted(oracle, key=lambda entry: entry[:2])
    ]
