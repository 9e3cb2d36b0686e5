"""What listeners hear, and its gradient: as torch would have it, ties and silence included."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gnn.messages import gathered


def plainly(message: Tensor, ear: Tensor, ears: int) -> tuple[Tensor, Tensor]:
    """One ear at a time, with torch's own gradients; `amax` shares among equals as ours has to."""
    nothing = message.new_zeros(message.shape[1])
    heard = [message[ear == each] for each in range(ears)]
    return (
        torch.stack([some.mean(dim=0) if len(some) else nothing for some in heard]),
        torch.stack([some.amax(dim=0) if len(some) else nothing for some in heard]),
    )


@st.composite
def spoken(draw: st.DrawFn) -> tuple[Tensor, Tensor, int]:
    """Values that often tie, below zero too, and ears that often hear nothing."""
    ears, width = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, ears - 1), st.integers(0, 10**6)), min_size=1, max_size=24
        )
    )
    values = torch.tensor(
        [[(seed // 7**column) % 7 - 3 for column in range(width)] for _, seed in rows],
        dtype=torch.float64,
    ).reshape(len(rows), width)
    return values, torch.tensor([ear for ear, _ in rows], dtype=torch.int64), ears


@given(spoken(), st.integers(0, 2**31))
def test_what_is_heard_and_its_gradient_are_those_of_torch(
    case: tuple[Tensor, Tensor, int], seed: int
) -> None:
    values, ear, ears = case
    weigh = torch.Generator().manual_seed(seed)
    shape = (2, ears, values.shape[1])
    weights = torch.rand(shape, generator=weigh, dtype=torch.float64) - 0.5
    found = []
    for way in (gathered, plainly):
        leaf = values.clone().requires_grad_()
        mean, most = way(torch.relu(leaf), ear, ears)
        (torch.stack([mean, most]) * weights).sum().backward()
        found.append((mean.detach(), most.detach(), leaf.grad))
    for mine, torchs in zip(*found, strict=True):
        torch.testing.assert_close(mine, torchs)
    with torch.no_grad():
        for mine, torchs in zip(gathered(torch.relu(values), ear, ears), found[0], strict=False):
            torch.testing.assert_close(mine, torchs)


@pytest.mark.parametrize("ears", [1, 3])
def test_nobody_speaks(ears: int) -> None:
    silent = torch.zeros(0, 2, requires_grad=True)
    mean, most = gathered(torch.relu(silent), torch.zeros(0, dtype=torch.int64), ears)
    (mean + most).sum().backward()
    assert torch.equal(mean, torch.zeros(ears, 2))
    assert torch.equal(most, torch.zeros(ears, 2))
    assert silent.grad is not None
    assert silent.grad.shape == (0, 2)
