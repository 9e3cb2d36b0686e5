"""Networks over the past: the ring model over typed graphs, the sequence model over last events.

Nothing that serves (`schema`, `sampling`, `node_features`, `snapshots`, `tensors`, `artefact`,
`inference`, `event_sequences`, `sequence_scorer`) or records (`spool`, `recording`,
`shuffled_edges`) needs torch; `hetero`, `model`, `baselines`, `examples`, `checkpoint`, `training`,
`export`, `sequence_model`, `sequence_training` and `sequence_export` come with the extra `train`.
"""
