"""Names that say nothing: ids from keyed permutations, addresses from public-looking blocks.

A running number would tell who was created together with whom; a hash could collide. A
bijection on 48 or 64 bits under a key of the seed does neither.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Integers = npt.NDArray[np.int64]

_ODD: Final = 0x9E3779B97F4A7C15
_ROUNDS: Final = ((0xBF58476D1CE4E5B9, 0.62), (0x94D049BB133111EB, 0.58), (0xD6E8FEB86659FD93, 0.5))
_DIGITS: Final = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
# First octets in public use whose blocks hold no reserved or private ranges.
_FIRST_OCTETS: Final = np.fromstring(
    "2 5 31 37 46 62 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 109 176 178 188 193"
    " 194 195 212 213 217",
    dtype=np.uint64,
    sep=" ",
)


def permuted(indices: Integers, *, bits: int, seed: int, space: int) -> npt.NDArray[np.uint64]:
    """A bijection of `[0, 2**bits)` keyed by seed and name space: uint64[n] in, uint64[n] out.

    Three rounds of xor-shift and odd multiplication modulo a power of two, each invertible.
    """
    mask = np.uint64((1 << bits) - 1)
    key = ((seed + 1) * _ODD + (space + 1) * 0xD1B54A32D192ED03) & (2**64 - 1)
    mixed = (indices.astype(np.uint64) ^ np.uint64(key & int(mask))) & mask
    for multiplier, part in _ROUNDS:
        mixed = (mixed * np.uint64(multiplier | 1)) & mask
        mixed ^= mixed >> np.uint64(int(bits * part))
        mixed = (mixed + np.uint64(key >> 17)) & mask
    return mixed


def hexadecimal(values: npt.NDArray[np.uint64], digits: int) -> pa.Array:
    """Lower-case hexadecimal text of fixed width: uint64[n] to a string array of n."""
    count = len(values)
    text = np.empty((count, digits), dtype=np.uint8)
    for place in range(digits):
        shift = np.uint64(4 * (digits - 1 - place))
        text[:, place] = _DIGITS[((values >> shift) & np.uint64(15)).astype(np.intp)]
    offsets = np.arange(0, (count + 1) * digits, digits, dtype=np.int64)
    return pa.Array.from_buffers(
        pa.large_string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    )


def opaque_ids(count: int, *, digits: int, seed: int, space: int) -> pa.Array:
    """`count` distinct ids that carry neither order nor meaning."""
    numbers = np.arange(count, dtype=np.int64)
    return hexadecimal(permuted(numbers, bits=4 * digits, seed=seed, space=space), digits)


def addresses(sixth: npt.NDArray[np.bool_], *, seed: int, space: int) -> pa.Array:
    """One canonical IP address an entry: IPv6 where `sixth` says so, IPv4 elsewhere."""
    numbers = np.arange(len(sixth), dtype=np.int64)
    low = permuted(numbers, bits=24, seed=seed, space=space)
    first = _FIRST_OCTETS[
        (permuted(numbers, bits=48, seed=seed, space=space + 1) % len(_FIRST_OCTETS)).astype(int)
    ]
    high = permuted(numbers, bits=48, seed=seed, space=space + 2)
    texts = [
        _sixth(v, h) if six else f"{f}.{v >> 16}.{(v >> 8) & 255}.{v & 255}"
        for six, f, v, h in zip(
            sixth.tolist(), first.tolist(), low.tolist(), high.tolist(), strict=True
        )
    ]
    return pa.array(texts, type=pa.large_string())


def _sixth(low: int, high: int) -> str:
    """IPv6 text that is canonical as it stands: no group is zero, so nothing is abbreviated."""
    groups = (high >> 32, high >> 16, high, low >> 12, low & 0xFFF, high >> 8, high >> 24)
    return "2a02:" + ":".join(f"{group & 0xFFFF | 0x1000:x}" for group in groups)


def decimals(minor: Integers) -> pa.Array:
    """Amounts of two decimals as exact text, never through a float: 1050 becomes `10.50`."""
    words = np.zeros((len(minor), 2), dtype=np.int64)
    words[:, 0] = minor
    exact = pa.Array.from_buffers(pa.decimal128(18, 2), len(minor), [None, pa.py_buffer(words)])
    return exact.cast(pa.string()).cast(pa.large_string())
