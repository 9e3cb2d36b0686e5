"""Writes the page of the typologies and its pictures, or says what is stale."""

import sys
from pathlib import Path

from api.typologies.page import page
from api.typologies.picture import picture
from api.typologies.scenes import scenes

DOCS = Path(__file__).parents[2] / "docs"


def main(arguments: list[str]) -> int:
    """Write the page and its pictures; with --check, name those that are stale."""
    found = {f"images/typologies/{pattern}.svg": picture(e) for pattern, e in scenes().items()}
    pictured = frozenset(Path(name).stem for name in found)
    files = {"typologies.md": page(pictured), **found}
    if arguments == ["--check"]:
        stale = [
            name
            for name, text in files.items()
            if not (DOCS / name).is_file() or (DOCS / name).read_text(encoding="utf-8") != text
        ]
        for name in stale:
            sys.stderr.write(f"docs/{name} is stale: run python -m api.typologies\n")
        return 1 if stale else 0
    (DOCS / "images" / "typologies").mkdir(exist_ok=True)
    for name, text in files.items():
        (DOCS / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
