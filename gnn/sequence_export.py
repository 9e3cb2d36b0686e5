"""A learned sequence model as ONNX, and the proof that it is the same model.

As with the ring model (`gnn.export`): what comes out is run beside torch on random rows, and where
the two differ by more than the same tolerance, nothing is exported. The file says which columns it
was trained on, and `gnn.sequence_scorer` refuses it where they are others.
"""

from typing import Final

import numpy as np
import onnx
import torch

from gnn.event_sequences import STEPS, WIDTH, schema_hash
from gnn.export import Inputs, difference, must_agree, to_onnx
from gnn.inference import session
from gnn.sequence_model import SequenceModel
from gnn.sequence_scorer import INPUTS, OUTPUTS, SCHEMA

_SIZES: Final = (1, 1, 2, 64)


def export_sequence(model: SequenceModel) -> bytes:
    """A learned model as what serves.

    Args:
        model: In any mode; left in evaluation mode.

    Raises:
        Incompatible: What was exported does not answer as torch does.
    """
    model = model.eval()
    rows = random_rows(model, np.random.default_rng(0), 3)
    batch = torch.export.Dim("rows")
    written = to_onnx(model, rows, INPUTS, OUTPUTS, [{0: batch} for _ in INPUTS])
    proto = onnx.load_model_from_string(written)
    onnx.helper.set_model_props(proto, {SCHEMA: schema_hash(model.context)})
    signed: bytes = proto.SerializeToString()
    reached = sequence_parity(model, signed)
    must_agree(reached, "sequence model")
    return signed


def sequence_parity(model: SequenceModel, exported_model: bytes) -> float:
    """Largest difference between torch and onnxruntime over random rows, one alone included.

    None at all is not asked: onnxruntime's recurrent unit ends the process there, and the scorer
    never does it.
    """
    running, rng = session(exported_model), np.random.default_rng(2)
    worst = 0.0
    for size in _SIZES:
        found = random_rows(model, rng, size)
        with torch.no_grad():
            expected = model(*(torch.from_numpy(found[name]) for name in INPUTS))
        worst = max(worst, difference(expected.numpy(), running.run(None, found)[0]))
    return worst


def random_rows(model: SequenceModel, rng: np.random.Generator, size: int) -> Inputs:
    """Inputs of a model: sequences of any length, some of what they say unknown."""
    steps = rng.normal(0, 2, (size, STEPS, WIDTH)).astype(np.float32)
    steps[rng.random(steps.shape) < 0.1] = np.nan
    lengths = rng.integers(1, STEPS + 1, size)
    there = np.arange(STEPS)[None, :] >= STEPS - lengths[:, None]
    steps[:, :, 0] = 1.0
    steps[~there] = 0.0
    context = rng.normal(0, 2, (size, len(model.context))).astype(np.float32)
    context[rng.random(context.shape) < 0.1] = np.nan
    return {"steps": steps, "context": context}
