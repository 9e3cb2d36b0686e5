"""A small recurrent model over the last events of a transaction's user, and its head.

A gated recurrent unit (K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder",
EMNLP 2014) reads the steps of `gnn.event_sequences` and ends with the transaction itself; the head
hears where it came to beside the columns that every network on the ladder hears. So its rival is
the same head without a sequence.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from gnn.event_sequences import WIDTH
from gnn.model import Standardised
from graph.errors import InvalidSetting


@dataclass(frozen=True, slots=True)
class SequenceShape:
    """Widths of a sequence model.

    Attributes:
        hidden: Of the recurrent unit.
        head: Inside the head.
        dropout: Share of the head's inner values dropped while it learns.

    Raises:
        InvalidSetting: A width is not positive, or the share is none.
    """

    hidden: int = 24
    head: int = 32
    dropout: float = 0.1

    def __post_init__(self) -> None:
        wrong = [name for name in ("hidden", "head") if asdict(self)[name] < 1]
        if not 0 <= self.dropout < 1:
            wrong.append("dropout")
        if wrong:
            raise InvalidSetting(
                "no model has this shape",
                field=f"sequence model: {wrong[0]}",
                value=str(asdict(self)[wrong[0]]),
                remedy="Use positive widths and a share below 1.",
            )


class SequenceModel(nn.Module):
    """The log-odds of a transaction from its user's last events and its own columns.

    Args:
        context: Names of the columns of the transaction.
        shape: Widths.

    Shape:
        - steps: float32 [R, STEPS, WIDTH] of `gnn.event_sequences`, NaN for the unknown
        - context: float32 [R, C], NaN for the unknown
        - output: float32 [R]
    """

    def __init__(self, context: tuple[str, ...], shape: SequenceShape = SequenceShape()) -> None:
        super().__init__()
        self.context = context
        self.step_scale = Standardised(WIDTH - 1)
        self.context_scale = Standardised(len(context))
        self.reader = nn.GRU(WIDTH, shape.hidden, batch_first=True)
        self.hidden = nn.Linear(shape.hidden + len(context), shape.head)
        self.inner = nn.Linear(shape.head, shape.head)
        self.drop = nn.Dropout(shape.dropout)
        self.out = nn.Linear(shape.head, 1)

    def forward(self, steps: Tensor, context: Tensor) -> Tensor:
        """See the class."""
        there = steps[:, :, :1]
        # A step that is not there is all zeros, whatever zero means in a column.
        scaled = self.step_scale(steps[:, :, 1:]) * there
        read, _ = self.reader(torch.cat([there, scaled], dim=2))
        columns = torch.cat([read[:, -1], self.context_scale(context)], dim=1)
        hidden = self.drop(torch.relu(self.hidden(columns)))
        hidden = self.drop(torch.relu(self.inner(hidden)))
        logit: Tensor = self.out(hidden)
        return logit.squeeze(1)
