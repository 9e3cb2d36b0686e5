"""Deep analysis: algorithms over the whole stored graph, once a night, for features and people."""
