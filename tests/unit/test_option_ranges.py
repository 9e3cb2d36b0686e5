"""Options that several commands share: refused before the work, by field, value and remedy."""

import pytest

from api.option_ranges import MOST_EMBARGO, MOST_SEED, check_seed, embargo_of
from graph.errors import InvalidSetting
from graph.transaction import DAY, HOUR


@pytest.mark.parametrize("seed", [-1, MOST_SEED + 1, 99_999_999_999_999_999_999])
def test_a_seed_no_library_takes_is_refused(seed):
    with pytest.raises(InvalidSetting, match=rf"--seed.*between 0 and.*{seed}") as refused:
        check_seed(seed)
    assert refused.value.value == str(seed)
    assert refused.value.remedy


@pytest.mark.parametrize("seed", [0, 7, MOST_SEED])
def test_every_other_seed_is_taken(seed):
    check_seed(seed)


@pytest.mark.parametrize("days", [float("nan"), float("inf"), float("-inf"), -0.5, 1e300])
def test_an_embargo_that_is_no_length_of_time_is_refused(days):
    with pytest.raises(InvalidSetting, match=r"--embargo.*between 0 and") as refused:
        embargo_of(days)
    assert refused.value.value == f"{days:g}"
    assert refused.value.remedy


def test_an_embargo_is_milliseconds():
    assert embargo_of(1 / 24) == HOUR
    assert embargo_of(0) == 0
    assert embargo_of(MOST_EMBARGO) == MOST_EMBARGO * DAY
