"""The ring model: typed graphs of the past, an encoder of entities and a head for transactions.

Nothing that serves (`schema`, `sampling`, `node_features`, `snapshots`, `tensors`, `artefact`,
`inference`) or records (`spool`, `recording`) needs torch; `hetero`, `model`, `baselines`,
`examples`, `checkpoint`, `training` and `export` come with the extra `train`.
"""
