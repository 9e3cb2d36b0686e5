"""The feature extractor: one transaction in, one feature row out, the same online and offline.

It streams: a row says how the world stood just before its transaction, then the transaction is
added to it. It sees nothing later, and labels only once they are handed to `learn`. What the
features are is listed in `scorer.feature_catalogue`; how they are kept, in
`scorer.feature_kernels`.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import xxhash
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind
from graph.entities import SHARDS, EntitySpace
from graph.errors import Incompatible, InvalidSetting
from graph.evidence import Evidence
from graph.layout import INWARD, TIME, VALUE, WIDTH
from graph.snapshot import Snapshot, pack, unpack
from graph.transaction import EntityKind, Label, Outcome, Transaction, TransactionType
from scorer import feature_kernels as kernels
from scorer.feature_catalogue import SCHEMA
from scorer.feature_kernels import FeatureState
from scorer.ports import FeatureSchema

_VERSION: Final = 4  # 4: what is usual, and frauds in a row
_KIND: Final = "features"

_TYPES: Final = {kind: code for code, kind in enumerate(TransactionType)}
_OUTCOMES: Final = {None: 0, Outcome.AUTHORISED: 1, Outcome.DECLINED: kernels.DECLINED}
_PATTERNS: Final = {name: place for place, name in enumerate(kernels.PATTERNS)}
_LABEL: Final = struct.Struct("=2q")  # when it became known, whether it says fraud
_NO_LINKS: Final = (0,) * 6
_NO_EVIDENCE: Final = (0,) * (kernels.KINDS + 1)
_OUTSIDE, _USER, _MERCHANT = -1, 0, 1
_MILLIONTHS: Final = 1_000_000
_MOST_ZEROS: Final = 6
_MOST_TEXTS: Final = 65_536
"""Texts whose slots are remembered; a slot is a pure function of its text, so forgetting them all
costs time only."""

_ACCOUNT_ARRAYS: Final = (
    "account_generation",
    "account_activity",
    "account_time",
    "account_stat",
    "account_label",
)
_IDENTIFIER_ARRAYS: Final = (
    "identifier_generation",
    "identifier_activity",
    "identifier_time",
    "identifier_stat",
    "identifier_label",
)
_WHOLE_ARRAYS: Final = ("totals",)
_SPARSE_ARRAYS: Final = {
    "field_stat": ("field_stat",),
    "field_label": ("field_label",),
    "pair_key": ("pair_key", "pair_time", "pair_stat"),
}
"""Arrays of which only the rows in use are kept, by the array that tells which those are."""


@dataclass(frozen=True, slots=True)
class FeatureConfig:
    """Bounds of the extractor.

    Attributes:
        pairs: Pairs (user and other party, device, IP, card, field) remembered, 32 bytes each; a
            power of two. A stream has about five a user in use. When full, "new to the user"
            means not seen for long rather than never seen.
    """

    pairs: int = 1 << 20

    def __post_init__(self) -> None:
        if self.pairs < kernels.WAYS or self.pairs & (self.pairs - 1):
            raise InvalidSetting(
                "the number of pairs remembered has to be a power of two",
                field="pairs",
                value=str(self.pairs),
                remedy="Use 4 or more, such as 1048576.",
            )


class FeatureExtractor:
    """Makes feature rows and keeps what they are made of.

    State is indexed by the ids of the window's two entity spaces; rows of an id given out anew
    start empty. It reserves addresses for both capacities, about 1.1 kB an account and 0.4 kB an
    identifier, of which the system gives memory to the rows in use.

    Args:
        accounts: The window's accounts.
        identifiers: The window's identifiers.
        config: Bounds.

    Attributes:
        names: Feature names, in the order of a row.
        schema: The same with families.
        schema_hash: Hash of names and order.
    """

    names: Final[tuple[str, ...]] = SCHEMA.names
    schema: Final[FeatureSchema] = SCHEMA
    schema_hash: Final[str] = SCHEMA.hash

    def __init__(
        self,
        accounts: EntitySpace,
        identifiers: EntitySpace,
        config: FeatureConfig = FeatureConfig(),
    ) -> None:
        self.config = config
        self._accounts = accounts
        self._identifiers = identifiers
        self._state = _empty_state(accounts, identifiers, config)
        self._row = np.zeros(kernels.ROW, np.int64)
        self._layout = struct.Struct(f"={kernels.ROW}q")
        self._slots = _Slots()
        self._shards = tuple(
            space.shards(kind)
            for space, kind in (
                (accounts, EntityKind.USER),
                (accounts, EntityKind.MERCHANT),
                (identifiers, EntityKind.DEVICE),
                (identifiers, EntityKind.IP),
                (identifiers, EntityKind.CARD),
            )
        )
        take, row = False, np.zeros(len(self.names), np.float32)
        self._observe = bind(kernels.observe, self._state, self._row, row, take)
        self._rows = np.zeros((1, kernels.ROW), np.int64)
        self._labels = np.zeros((1, kernels.LABEL_ROW), np.int64)
        arrivals, outs = np.zeros((1, WIDTH), np.int64), row.reshape(1, -1)
        self._observe_rows = bind(
            kernels.observe_rows, self._state, self._rows, arrivals, outs, 0, 0, self._labels, 0
        )
        self._learn = bind(kernels.learn, self._state, self._row, 0, 0.0)

    @property
    def state(self) -> FeatureState:
        """What is remembered, for compiled code that reads it."""
        return self._state

    def observe(
        self,
        tx: Transaction,
        admission: Admission,
        evidence: Sequence[Evidence],
        ring_score: float,
        out: NDArray[np.float32],
    ) -> None:
        """Fill `out` as of just before `tx`, then take `tx` in if it was accepted.

        A late, early or duplicate transaction reads the state as it is and changes nothing.

        Args:
            tx: The transaction.
            admission: What the window made of it.
            evidence: What the heuristics say it completed.
            ring_score: Score of the strongest ring it touches, 0 to 1.
            out: float32 [features], contiguous; overwritten but for the family `deep`, NaN where
                nothing is known.
        """
        device, ip, card, _ = admission.links
        self._fill(
            self._row,
            0,
            tx,
            (admission.user, admission.other, admission.device, admission.ip, admission.card),
            (device.count, device.first, ip.count, ip.first, card.count, card.first),
            _counts(evidence) if evidence else _NO_EVIDENCE,
            int(ring_score * _MILLIONTHS),
        )
        self._observe(self._state, self._row, out, admission.status is Status.ACCEPTED)

    def lay_out(self, transactions: Sequence[Transaction], arrivals: NDArray[np.int64]) -> None:
        """Put a batch into rows, for `observe_rows`; `arrivals` as the fast path laid it out."""
        count = len(transactions)
        if count > len(self._rows):
            self._rows = np.zeros((count, kernels.ROW), np.int64)
        rows, given = self._rows[:count], arrivals[:count]
        rows[:, kernels.R_TIME] = given[:, TIME]
        rows[:, kernels.R_VALUE] = np.abs(given[:, VALUE])
        rows[:, kernels.R_INWARD] = given[:, INWARD]
        rows[:, kernels.R_TYPE : kernels.R_USER] = [self._given(tx) for tx in transactions]

    def observe_rows(
        self,
        arrivals: NDArray[np.int64],
        start: int,
        stop: int,
        out: NDArray[np.float32],
        labels: Sequence[Label] = (),
    ) -> None:
        """`observe` for accepted transactions of the batch that completed nothing.

        The ring score is left 0: it is of no account for what is remembered.

        Args:
            arrivals: int64 [N, graph.layout.WIDTH], the batch as the window took it in.
            start: First row.
            stop: Behind the last.
            out: float32 [N, features], contiguous; rows from start to stop are overwritten.
            labels: Those that fall due with these rows, in the order of their `known_at`: each is
                learned before the first row with which the watermark reaches it. Nobody may have
                been given an id since the first row.
        """
        count = len(labels)
        if count > len(self._labels):
            self._labels = np.zeros((2 * count, kernels.LABEL_ROW), np.int64)
        for place, label in enumerate(labels):
            tx, at = label.transaction, place * self._labels.strides[0]
            self._fill(self._labels, at, tx, self._found(tx), _NO_LINKS, _NO_EVIDENCE, 0)
            _LABEL.pack_into(self._labels.data, at + self._layout.size, label.known_at, label.fraud)
        self._observe_rows(self._state, self._rows, arrivals, out, start, stop, self._labels, count)

    def learn(self, label: Label) -> None:
        """Add a label whose time has come to what its transaction touched.

        Entities that have been forgotten since are left out; the rest learns.
        """
        tx = label.transaction
        self._fill(self._row, 0, tx, self._found(tx), _NO_LINKS, _NO_EVIDENCE, 0)
        self._learn(self._state, self._row, label.known_at, float(label.fraud))

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        state = self._state._asdict()
        arrays = {name: state[name][: self._accounts.size] for name in _ACCOUNT_ARRAYS}
        arrays |= {name: state[name][: self._identifiers.size] for name in _IDENTIFIER_ARRAYS}
        arrays |= {name: state[name] for name in _WHOLE_ARRAYS}
        for key, names in _SPARSE_ARRAYS.items():
            used = state[key] if state[key].ndim == 1 else state[key][:, 0]
            rows = np.flatnonzero(used)
            arrays[f"{key}_rows"] = rows
            arrays |= {name: state[name][rows] for name in names}
        return pack(_KIND, _VERSION, Snapshot({"pairs": self.config.pairs}, arrays))

    @classmethod
    def restore(cls, data: bytes, accounts: EntitySpace, identifiers: EntitySpace) -> Self:
        """The extractor as it was at `snapshot`, over the window's restored entity spaces.

        Raises:
            Incompatible: The bytes are no such snapshot, or the window is of another moment.
        """
        snapshot = unpack(_KIND, _VERSION, data)
        arrays = snapshot.arrays
        found = (len(arrays["account_generation"]), len(arrays["identifier_generation"]))
        if found != (accounts.size, identifiers.size):
            raise Incompatible(
                f"the window holds {accounts.size} accounts and {identifiers.size} identifiers",
                field=_KIND,
                value=f"{found[0]} and {found[1]}",
                remedy="Restore the window and the features from the same snapshot.",
            )
        extractor = cls(accounts, identifiers, FeatureConfig(snapshot.values["pairs"]))
        state: dict[str, NDArray[Any]] = extractor._state._asdict()
        for name in _ACCOUNT_ARRAYS:
            state[name][: accounts.size] = arrays[name]
        for name in _IDENTIFIER_ARRAYS:
            state[name][: identifiers.size] = arrays[name]
        for name in _WHOLE_ARRAYS:
            state[name][:] = arrays[name]
        for key, names in _SPARSE_ARRAYS.items():
            for name in names:
                state[name][arrays[f"{key}_rows"]] = arrays[name]
        return extractor

    def _found(self, tx: Transaction) -> tuple[int, int, int, int, int]:
        """Ids of its entities, -1 for those that nobody or nobody known is."""
        users, merchants, devices, ips, cards = self._shards
        if (other := tx.counterparty_id) is not None:
            others = users
        else:
            other, others = tx.merchant_id, merchants
        return (
            _id_in(users, tx.user_id),
            _id_in(others, other),
            _id_in(devices, tx.device_id),
            _id_in(ips, tx.ip_address),
            _id_in(cards, tx.card_id),
        )

    def _fill(
        self,
        rows: NDArray[np.int64],
        at: int,
        tx: Transaction,
        ids: tuple[int, int, int, int, int],
        links: tuple[int, ...],
        found: tuple[int, ...],
        ring: int,
    ) -> None:
        """Lay the transaction out in the row at a byte, as the `R_` places of the kernels say."""
        user, other, device, ip, card = ids
        strange, unknown = self._accounts.capacity, self._identifiers.capacity
        given = self._given(tx)
        outside = given[kernels.R_OTHER_KIND - kernels.R_TYPE] == _OUTSIDE
        self._layout.pack_into(
            rows.data,
            at,
            tx.timestamp,
            tx.value,
            tx.type is TransactionType.DEPOSIT or tx.type is TransactionType.REFUND,
            *given,
            user if user >= 0 else strange,
            other if other >= 0 or outside else strange,
            device if device >= 0 or tx.device_id is None else unknown,
            ip if ip >= 0 or tx.ip_address is None else unknown,
            card if card >= 0 or tx.card_id is None else unknown,
            *links,
            *found,
            ring,
        )

    def _given(self, tx: Transaction) -> tuple[int, ...]:
        """What a transaction says of itself, from `R_TYPE` on."""
        slots, created, place = self._slots, tx.user_created_at, tx.location
        return (
            _TYPES[tx.type],
            _OUTCOMES[tx.outcome],
            _USER
            if tx.counterparty_id is not None
            else (_OUTSIDE if tx.merchant_id is None else _MERCHANT),
            kernels.UNKNOWN_CREATION if created is None else created,
            _zeros(tx.amount.minor),
            slots[tx.channel],
            slots[tx.country],
            slots[tx.merchant_category],
            -1 if place is None else slots[place.text],
        )


class _Slots(dict[str | None, int]):
    """Slots of texts, as they are asked for; -1 of no text."""

    def __missing__(self, text: str | None) -> int:
        if text is None:
            return -1
        if len(self) >= _MOST_TEXTS:
            self.clear()
        slot = self[text] = xxhash.xxh3_64_intdigest(text.encode()) % kernels.SLOTS
        return slot


def _id_in(shards: Sequence[Mapping[str, int]], key: str | None) -> int:
    return -1 if key is None else shards[hash(key) % SHARDS].get(key, -1)


def _counts(evidence: Sequence[Evidence]) -> tuple[int, ...]:
    """Pieces of evidence by pattern, then the greatest strength in millionths."""
    counts = [0] * (kernels.KINDS + 1)
    strongest = 0.0
    for piece in evidence:
        counts[_PATTERNS[piece.pattern]] += 1
        strongest = max(strongest, piece.strength)
    counts[-1] = int(strongest * _MILLIONTHS)
    return tuple(counts)


def _zeros(minor: int) -> int:
    """Trailing decimal zeros, at most six.

    >>> [_zeros(minor) for minor in (12_345, 5_000, 0, 70_000_000_000)]
    [0, 3, 6, 6]
    """
    zeros = 0
    while zeros < _MOST_ZEROS and minor % 10 == 0:
        minor //= 10
        zeros += 1
    return zeros


def _empty_state(
    accounts: EntitySpace, identifiers: EntitySpace, config: FeatureConfig
) -> FeatureState:
    # np.zeros reserves addresses; the system gives memory when a row is first written.
    a, i, pairs = accounts.capacity + 1, identifiers.capacity + 1, config.pairs
    fields = len(kernels.FIELDS) * kernels.SLOTS
    windows = (len(kernels.WINDOWS), kernels.RING, 2)
    return FeatureState(
        account_given=accounts.generation,
        account_generation=np.zeros(a, np.int32),
        account_activity=np.zeros((a, 2, *windows), np.float32),
        account_time=np.zeros((a, kernels.ACCOUNT_TIMES), np.int64),
        account_stat=np.zeros((a, kernels.ACCOUNT), np.float64),
        account_label=np.zeros((a, 2, kernels.LABEL), np.float64),
        identifier_given=identifiers.generation,
        identifier_generation=np.zeros(i, np.int32),
        identifier_activity=np.zeros((i, *windows), np.float32),
        identifier_time=np.zeros(i, np.int64),
        identifier_stat=np.zeros((i, kernels.IDENTIFIER), np.float64),
        identifier_label=np.zeros((i, kernels.LABEL), np.float64),
        field_stat=np.zeros((fields, kernels.FIELD), np.float64),
        field_label=np.zeros((fields, kernels.LABEL), np.float64),
        pair_key=np.zeros(pairs, np.uint64),
        pair_time=np.zeros(pairs, np.int64),
        pair_stat=np.zeros((pairs, 2), np.float64),
        totals=np.zeros(kernels.TOTALS, np.float64),
    )
