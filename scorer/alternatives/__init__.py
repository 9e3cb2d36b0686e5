"""Alternatives to the trees that ship, each a rung of the ladder (`scorer.ladder`)."""
