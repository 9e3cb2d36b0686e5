"""What is used of PyG (torch-geometric), imported without its warnings.

At import it compiles scripts of a kind that torch has since given up, and torch says so.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch_geometric.data import HeteroData
    from torch_geometric.nn import GCNConv, SAGEConv

__all__ = ["GCNConv", "HeteroData", "SAGEConv"]
