"""The ring model: typed graphs of the past, an encoder of entities and a head for transactions.

Apart from it, the ring head: graphs of single rings, how true they are and what that rests on.

Nothing that serves (`schema`, `sampling`, `node_features`, `snapshots`, `tensors`, `artefact`,
`inference`; `ring_graph`, `ring_columns`, `ring_artefact`, `ring_inference`, `explain`) or records
(`spool`, `recording`) needs torch; `hetero`, `model`, `baselines`, `examples`, `checkpoint`,
`training` and `export`, `ring_head`, `ring_training` and `ring_export` come with the extra `train`.
"""
