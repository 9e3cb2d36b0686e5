"""docs/typologies.md, put together from what the heuristics say of themselves."""

from collections.abc import Collection, Iterator
from typing import Final

from api.typologies.catalogue import (
    TYPOLOGIES,
    Typology,
    first_sentence,
    limits,
    sections,
    strength,
)

_PREAMBLE: Final = """\
# Typologies

What the engine looks for, and how. Put together by `python -m api.typologies` from the heuristics'
own docstrings (`graph/heuristics/`) and from `graph/thresholds.py`; edit it there. The pictures
show evidence from the replay of a simulated city: arrows are payments, numbered in order of time,
with their sum; where a planted ring shows the pattern, it is that ring's. Fans and velocity are
held to what an account does every day as well: [adaptive limits](adaptive.md).

| typology | what | patterns |
|---|---|---|
"""


def page(pictured: Collection[str]) -> str:
    """The page; `pictured` are the patterns that have a picture."""
    rows = [
        f"| [{typology.title}](#{_anchor(typology.title)}) | {first_sentence(typology)} "
        f"| {', '.join(f'`{pattern}`' for pattern in typology.patterns)} |\n"
        for typology in TYPOLOGIES
    ]
    waiting = set(pictured)
    return _PREAMBLE + "".join(rows) + "".join("".join(_section(t, waiting)) for t in TYPOLOGIES)


def _anchor(title: str) -> str:
    return title.lower().replace(",", "").replace(" ", "-")


def _section(typology: Typology, pictured: set[str]) -> Iterator[str]:
    """One section; a picture that has been shown is not shown again."""
    yield f"\n## {typology.title}\n\n{first_sentence(typology)}\n"
    for pattern in typology.patterns:
        if pattern in pictured:
            pictured.remove(pattern)
            yield f"\n![{pattern} seen in a replay](images/typologies/{pattern}.svg)\n"
    for heading, text in sections(typology):
        yield (f"\n**{heading}.** " if heading else "\n") + f"{text}\n"
    if said := strength(typology):
        yield f"\n**Strength.** {said}\n"
    told = list(limits(typology))
    if told:
        yield "\n| threshold | default | why |\n|---|---|---|\n"
        for name, default, why in told:
            yield f"| `{name}` | {default} | {why} |\n"
