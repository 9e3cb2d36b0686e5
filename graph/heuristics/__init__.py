"""The catalogue of heuristics: one file a typology family."""
