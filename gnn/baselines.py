"""Convolutions as they are usually drawn, behind the interface of ours: for comparison.

The graph loses its kinds of edges and what stands on them: every relation and direction is one more
neighbour. Nodes keep their own projection by kind.
"""

from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Final

import torch
from torch import nn

from gnn.geometric import GCNConv, SAGEConv
from gnn.model import EDGES, EdgeTensors, Hidden
from gnn.schema import NODE_KINDS

_MAKE: Final[Mapping[str, Any]] = {"gcn": GCNConv, "sage": SAGEConv}


class HomogeneousLayer(nn.Module):
    """One round of GCN (T. Kipf, M. Welling, ICLR 2017) or GraphSAGE (W. Hamilton et al., 2017).

    Takes and gives the same as `gnn.model.RelationalLayer`.

    Args:
        width: Of the nodes.
        convolution: "gcn" or "sage".
    """

    def __init__(self, width: int, convolution: str) -> None:
        super().__init__()
        self.convolution: nn.Module = _MAKE[convolution](width, width)

    def forward(self, nodes: Hidden, edges: EdgeTensors, sizes: Mapping[str, int]) -> Hidden:
        """See the class."""
        counts = [nodes[kind].shape[0] for kind in NODE_KINDS]
        firsts = dict(zip(NODE_KINDS, accumulate([0, *counts]), strict=False))
        ends = torch.cat(
            [
                torch.stack(
                    [edges.ends[name][0] + firsts[source], edges.ends[name][1] + firsts[to]]
                )
                for name, (source, _, to) in EDGES.items()
            ],
            dim=1,
        )
        every = torch.cat([nodes[kind] for kind in NODE_KINDS])
        heard = torch.relu(self.convolution(every, ends))
        return {kind: heard[firsts[kind] :][: sizes[kind]] for kind in NODE_KINDS}
