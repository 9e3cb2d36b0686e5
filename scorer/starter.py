"""The starter: what ships with the engine, taught on simulated cities: a judge, and trees.

Labels that name rings are rare, and a judge needs to have seen a few rings of each kind; so do the
trees that score transactions. What both look at (ages, acquaintance, shared things, flows, habits)
means the same everywhere, so they begin with what cities of `ingest.simulator` show. Training
corrects the judge by its own labels, and takes the trees, corrected, where they rank its own later
transactions better than trees of its own.

`python -m api.starter` makes the files anew; `docs/judge.md` says from what.
"""

import lzma
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

import msgspec

from scorer.booster import Booster
from scorer.evidence_judge import EvidenceJudge, read_judge
from scorer.ports import FeatureSchema

FOLDER: Final = "starter_judge"
TREES: Final = "trees.json.xz"
TREES_FOLDER: Final = "starter_trees"
RING_TREES: Final = "rings.json.xz"
PARAMETERS: Final = "parameters.json"


@cache
def starter() -> EvidenceJudge:
    """The judge that ships.

    Raises:
        Incompatible: Its files are of another context than this engine makes.
    """
    return read_starter(resources.files(__package__) / FOLDER)


def read_starter(folder: Traversable) -> EvidenceJudge:
    """The judge in a folder: of evidence, and of rings where it holds one.

    Raises:
        Incompatible: Its files are of another context than this engine makes.
    """
    parameters = msgspec.json.decode((folder / PARAMETERS).read_bytes())
    rings = folder / RING_TREES
    return read_judge(
        parameters,
        lzma.decompress((folder / TREES).read_bytes()),
        lzma.decompress(rings.read_bytes()) if rings.is_file() else None,
    )


@cache
def starter_parameters() -> dict[str, Any]:
    """What the trees that ship were taught on, and the hash of their features."""
    folder = resources.files(__package__) / TREES_FOLDER
    found: dict[str, Any] = msgspec.json.decode((folder / PARAMETERS).read_bytes())
    return found


def starter_trees(schema: FeatureSchema) -> Booster | None:
    """The trees that ship, where rows have the features they were taught on; else None."""
    return _trees(schema.names) if starter_parameters()["schema_hash"] == schema.hash else None


@cache
def _trees(names: tuple[str, ...]) -> Booster:
    folder = resources.files(__package__) / TREES_FOLDER
    return Booster.from_json(lzma.decompress((folder / TREES).read_bytes()), names)
