"""Networks over the past: the ring model over typed graphs, the sequence model over last events.

Apart from it, the ring head: graphs of single rings, how true they are and what that rests on.

Nothing that serves (`schema`, `sampling`, `node_features`, `snapshots`, `tensors`, `artefact`,
`inference`; `ring_graph`, `ring_columns`, `ring_artefact`, `ring_inference`, `explain`;
`event_sequences`, `sequence_scorer`) or records (`spool`, `recording`, `shuffled_edges`) needs
torch; `hetero`, `model`, `baselines`, `examples`, `checkpoint`, `training`, `export`, `ring_head`,
`ring_training`, `ring_export`, `sequence_model`, `sequence_training` and `sequence_export` come
with the extra `train`.
"""
