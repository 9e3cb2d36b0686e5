"""The ring head: whether a ring, as its graph shows it, is a true one.

Messages go between the two kinds of nodes of `gnn.ring_graph` as in `gnn.model.RelationalLayer`:
weights of its own for each kind and direction of edge, mean and maximum of what is heard. A hop
says what its payer and the piece it proves are, so the pattern is on the money. Then members and
pieces are pooled, as in M. Zaheer et al., "Deep Sets", NeurIPS 2017, and a small network answers.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnn.messages import gathered
from gnn.model import Standardised
from gnn.ring_columns import COLUMNS
from graph.errors import InvalidSetting

Messages = Literal["relational", "gcn", "alone"]
MESSAGES: Final[tuple[Messages, ...]] = ("relational", "gcn", "alone")
ROUNDS: Final = 2


@dataclass(frozen=True, slots=True)
class RingHeadSettings:
    """The shape of a ring head.

    Attributes:
        messages: Ours ("relational"), a GCN on the graph without kinds and columns of edges, or
            none: members and pieces pooled "alone".
        hidden: Width inside.
        dropout: Share of the pooled values dropped while it learns.

    Raises:
        InvalidSetting: There is no such shape.
    """

    messages: Messages = "relational"
    hidden: int = 16
    dropout: float = 0.2

    def __post_init__(self) -> None:
        wrong = {
            "messages": self.messages not in MESSAGES,
            "hidden": self.hidden < 1,
            "dropout": not 0 <= self.dropout < 1,
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise InvalidSetting(
                    "no ring head has this shape",
                    field=f"ring head: {name}",
                    value=str(asdict(self)[name]),
                    remedy=f"Use a positive width, a share, and one of {', '.join(MESSAGES)}.",
                )


class RingTensors(NamedTuple):
    """Rings side by side, as `gnn.ring_columns.feed` gives them; R rings."""

    x_member: Tensor
    x_piece: Tensor
    x_hop: Tensor
    x_part: Tensor
    x_whole: Tensor
    member_ring: Tensor
    piece_ring: Tensor
    hop_ends: Tensor
    hop_piece: Tensor
    part_ends: Tensor


INPUTS: Final = RingTensors._fields


def tensors(feed: Mapping[str, NDArray[Any]]) -> RingTensors:
    """The inputs of a head as tensors."""
    return RingTensors(*(torch.from_numpy(feed[name]) for name in INPUTS))


class RingRound(nn.Module):
    r"""One round of messages between members and pieces.

    .. math::
        \begin{aligned}
        m_{uv} &= ReLU(W h_u + U h_p + V e_{uv} + b) \text{ along a hop, and likewise against it}\\
        h'_v &= LN(h_v + ReLU(W h_v + \sum U [mean\,m \| max\,m]))
        \end{aligned}

    Args:
        width: Of the nodes.

    Shape:
        - members: float32 [M, width], pieces: float32 [P, width]
        - output: the same
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.speak = nn.ModuleDict(
            {name: nn.Linear(width, width) for name in ("payer", "payee", "piece", "member")}
        )
        self.proves = nn.ModuleDict(
            {name: nn.Linear(width, width, bias=False) for name in ("payer", "payee")}
        )
        widths = {"payer": "hop", "payee": "hop", "piece": "part", "member": "part"}
        self.tell = nn.ModuleDict(
            {name: nn.Linear(len(COLUMNS[of]), width, bias=False) for name, of in widths.items()}
        )
        self.hear_member = nn.Linear(6 * width, width, bias=False)
        self.hear_piece = nn.Linear(2 * width, width, bias=False)
        self.own_member = nn.Linear(width, width)
        self.own_piece = nn.Linear(width, width)
        self.norm_member = nn.LayerNorm(width)
        self.norm_piece = nn.LayerNorm(width)

    def forward(self, members: Tensor, pieces: Tensor, ring: RingTensors) -> tuple[Tensor, Tensor]:
        """See the class."""
        # The outside is one more member, that says nothing and is not listened to.
        everybody = torch.cat([members, members.new_zeros(1, members.shape[1])])
        size = everybody.shape[0]
        payer, payee = ring.hop_ends[0], ring.hop_ends[1]
        along = self._hop("payer", everybody.index_select(0, payer), pieces, ring)
        against = self._hop("payee", everybody.index_select(0, payee), pieces, ring)
        of_member, of_piece = ring.part_ends[0], ring.part_ends[1]
        told = torch.relu(
            self.speak["piece"](pieces).index_select(0, of_piece) + self.tell["piece"](ring.x_part)
        )
        formed = torch.relu(
            self.speak["member"](members).index_select(0, of_member)
            + self.tell["member"](ring.x_part)
        )
        heard = torch.cat(
            [
                *gathered(along, payee, size),
                *gathered(against, payer, size),
                *gathered(told, of_member, size),
            ],
            dim=1,
        )[: members.shape[0]]
        seen = torch.cat(gathered(formed, of_piece, pieces.shape[0]), dim=1)
        return (
            self.norm_member(
                members + torch.relu(self.own_member(members) + self.hear_member(heard))
            ),
            self.norm_piece(pieces + torch.relu(self.own_piece(pieces) + self.hear_piece(seen))),
        )

    def _hop(self, end: str, said: Tensor, pieces: Tensor, ring: RingTensors) -> Tensor:
        proven = self.proves[end](pieces).index_select(0, ring.hop_piece)
        return torch.relu(self.speak[end](said) + proven + self.tell[end](ring.x_hop))


class LonelyRound(nn.Module):
    """A round without messages. Takes and gives the same as ours."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own_member = nn.Linear(width, width)
        self.own_piece = nn.Linear(width, width)
        self.norm_member = nn.LayerNorm(width)
        self.norm_piece = nn.LayerNorm(width)

    def forward(self, members: Tensor, pieces: Tensor, ring: RingTensors) -> tuple[Tensor, Tensor]:
        """See the class."""
        del ring
        return (
            self.norm_member(members + torch.relu(self.own_member(members))),
            self.norm_piece(pieces + torch.relu(self.own_piece(pieces))),
        )


class ConvolvedRound(nn.Module):
    """One round of GCN (T. Kipf, M. Welling, ICLR 2017) over members, pieces, hops and parts alike.

    Takes and gives the same as ours; kinds, directions and columns of edges are lost.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(width, width)

    def forward(self, members: Tensor, pieces: Tensor, ring: RingTensors) -> tuple[Tensor, Tensor]:
        """See the class."""
        m, outside = members.shape[0], members.new_zeros(1, members.shape[1])
        every = torch.cat([members, outside, pieces])
        parts = torch.stack([ring.part_ends[0], ring.part_ends[1] + m + 1])
        one_way = torch.cat([ring.hop_ends, parts], dim=1)
        ends = torch.cat([one_way, one_way.flip(0)], dim=1)
        degree = every.new_ones(every.shape[0]).index_add(0, ends[1], every.new_ones(ends.shape[1]))
        scale = degree.rsqrt()
        weight = (scale[ends[0]] * scale[ends[1]]).unsqueeze(1)
        mixed = self.mix(every)
        own = mixed / degree.unsqueeze(1)
        heard = torch.relu(own.index_add(0, ends[1], mixed.index_select(0, ends[0]) * weight))
        return heard[:m], heard[m + 1 :]


_ROUND: Final[Mapping[str, type[nn.Module]]] = {
    "relational": RingRound,
    "alone": LonelyRound,
    "gcn": ConvolvedRound,
}


class RingHead(nn.Module):
    """The log-odds that rings are true ones.

    Args:
        settings: Its shape.

    Shape:
        - see `gnn.ring_columns.feed` for the inputs, R rings
        - output: float32 [R]
    """

    def __init__(self, settings: RingHeadSettings = RingHeadSettings()) -> None:
        super().__init__()
        width = settings.hidden
        self.settings = settings
        self.scale = nn.ModuleDict({name: Standardised(len(of)) for name, of in COLUMNS.items()})
        self.project = nn.ModuleDict(
            {name: nn.Linear(len(COLUMNS[name]), width) for name in ("member", "piece")}
        )
        self.rounds = nn.ModuleList(_ROUND[settings.messages](width) for _ in range(ROUNDS))
        self.drop = nn.Dropout(settings.dropout)
        self.hidden = nn.Linear(4 * width + len(COLUMNS["whole"]), width)
        self.out = nn.Linear(width, 1)

    def learn_scales(self, feed: Mapping[str, NDArray[Any]]) -> None:
        """Take mean and deviation of every column of these rings."""
        for name, scale in self.scale.items():
            rows = feed[f"x_{name}"].astype(np.float64)
            if len(rows) and isinstance(scale, Standardised):
                scale.learn(np.stack([rows.mean(axis=0), rows.std(axis=0)]).astype(np.float32))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Inputs in the order of `INPUTS`; see the class."""
        given = RingTensors(*inputs)
        ring = given._replace(
            x_member=self.scale["member"](given.x_member),
            x_piece=self.scale["piece"](given.x_piece),
            x_hop=self.scale["hop"](given.x_hop),
            x_part=self.scale["part"](given.x_part),
            x_whole=self.scale["whole"](given.x_whole),
        )
        members = torch.relu(self.project["member"](ring.x_member))
        pieces = torch.relu(self.project["piece"](ring.x_piece))
        for one in self.rounds:
            members, pieces = one(members, pieces, ring)
        size = ring.x_whole.shape[0]
        pooled = torch.cat(
            [
                *gathered(torch.relu(members), ring.member_ring, size),
                *gathered(torch.relu(pieces), ring.piece_ring, size),
                ring.x_whole,
            ],
            dim=1,
        )
        hidden = torch.relu(self.hidden(self.drop(pooled)))
        logit: Tensor = self.out(self.drop(hidden))
        return logit.squeeze(1)
