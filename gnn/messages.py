"""What a listener hears of its messages, mean and maximum, and how a gradient finds its way back.

Left to itself, torch keeps an index as wide as the messages for the maximum and walks it several
times on the way back, which took a quarter of a step. The gradient below is the same, from indices
of one entry a message.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def gathered(message: Tensor, ear: Tensor, ears: int) -> tuple[Tensor, Tensor]:
    """Mean and maximum of the messages at each ear, zeros where there is none.

    Of equal maxima each gets its share of the gradient. A message of zero is no more than silence
    and gets none from the maximum, as none would pass the ReLU before it.

    Shape: messages [E, width], none of them negative, ears [E]; both answers [ears, width].
    """
    if message.requires_grad and torch.is_grad_enabled():
        heard: tuple[Tensor, Tensor] = _Gathered.apply(message, ear, ears)
        return heard
    mean, most, _ = _heard(message, ear, ears)
    return mean, most


def _heard(message: Tensor, ear: Tensor, ears: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, maximum, and how many messages, float [ears, 1] and at least 1."""
    none = message.new_zeros(ears, message.shape[1])
    total = none.index_add(0, ear, message)
    count = message.new_zeros(ears, 1).index_add(0, ear, torch.ones_like(message[:, :1]))
    # Nothing is below zero, so zeros are a maximum's neutral element here.
    most = none.scatter_reduce(
        0, ear.unsqueeze(1).expand_as(message), message, "amax", include_self=True
    )
    count = count.clamp(min=1.0)
    return total / count, most, count


class _Gathered(torch.autograd.Function):
    """`gathered` with a gradient of its own."""

    @staticmethod
    def forward(ctx: Any, message: Tensor, ear: Tensor, ears: int) -> tuple[Tensor, Tensor]:
        mean, most, count = _heard(message, ear, ears)
        ctx.save_for_backward(message, ear, most, count)
        return mean, most

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_mean: Tensor, of_most: Tensor) -> tuple[Tensor, None, None]:
        message, ear, most, count = ctx.saved_tensors
        highest = (message == most.index_select(0, ear)).to(message.dtype)
        ties = torch.zeros_like(most).index_add_(0, ear, highest).clamp_(min=1.0)
        of_most = torch.where(most > 0, of_most / ties, 0.0)
        gradient = highest.mul_(of_most.index_select(0, ear))
        gradient += (of_mean / count).index_select(0, ear)
        return gradient, None, None
