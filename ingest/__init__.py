"""Where transactions come from: the log, the codec, the worker, datasets and the simulator."""
