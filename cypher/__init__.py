"""The graph database: the sink that fills it and the investigations that question it."""
