"""The catalogue of typologies as a page: what each heuristic says of itself, and a picture of one.

python -m api.typologies            write docs/typologies.md and its pictures
python -m api.typologies --check    exit 1 and name what is not up to date

Text comes from the heuristics' docstrings and from `graph.thresholds`, pictures from the replay of
a simulated city: nothing on the page is written or drawn by hand.
"""
