"""The cache: what may be read quickly elsewhere, and never what a verdict rests on."""
