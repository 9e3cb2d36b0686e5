"""The starter: the judge of evidence that ships with the engine, taught on simulated cities.

Labels that name rings are rare, and a judge needs to have seen a few rings of each kind. What it
looks at (ages, acquaintance, shared things, flows, habits) means the same everywhere, so it begins
with what cities of `ingest.simulator` show, and training corrects it by its own labels.

`python -m api.starter` makes the files anew; `docs/judge.md` says from what.
"""

from functools import cache
from importlib import resources
from typing import Final

import msgspec

from scorer.evidence_judge import EvidenceJudge, read_judge

FOLDER: Final = "starter_judge"
TREES: Final = "trees.json"
PARAMETERS: Final = "parameters.json"


@cache
def starter() -> EvidenceJudge:
    """The judge that ships.

    Raises:
        Incompatible: Its files are of another context than this engine makes.
    """
    folder = resources.files(__package__) / FOLDER
    parameters = msgspec.json.decode((folder / PARAMETERS).read_bytes())
    return read_judge(parameters, (folder / TREES).read_bytes())
