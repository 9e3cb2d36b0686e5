"""The trained model as a directory of plain data: never pickle.

    MODEL_DIR/model.json      the trees, as XGBoost saves them
              judge.json      the trees that judge evidence, where there is a judge
              metadata.json   features and their hash, calibration, blend, policy, seed, metrics
              gnn/            the graph model, where there is one (`gnn.artefact`); its version is
                              in metadata.json, and the scores do without it where it is not whole
              SHA256SUMS      of the files beside it, in the format of sha256sum

A directory that is torn, altered, or of another feature order is refused as a whole. Equal models
make equal bytes: the time of training is an argument.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from graph.errors import Incompatible, InvalidSetting
from scorer.blend import Blend, read_blend
from scorer.booster import Booster
from scorer.calibration import Calibration, read_calibration
from scorer.decision import Policy, read_policy
from scorer.evidence_judge import EvidenceJudge, read_judge
from scorer.graph_opinion import GraphStack, read_graph_stack
from scorer.ports import FeatureSchema
from scorer.reasons import FamilyShare, family_shares

FORMAT: Final = 4  # 4: with the weights of a graph model
MODEL: Final = "model.json"
JUDGE: Final = "judge.json"
RING_JUDGE: Final = "ring_judge.json"
METADATA: Final = "metadata.json"
SUMS: Final = "SHA256SUMS"
FILES: Final = (MODEL, JUDGE, RING_JUDGE, METADATA, SUMS)
_OPTIONAL: Final = (JUDGE, RING_JUDGE)
"""Every file that a model may have."""
_REMEDY: Final = "Restore the directory from its copy, or train again with `ringfence train`."


@dataclass(frozen=True)
class TrainedModel:
    """All that was learned, and what is needed to say where it came from.

    Attributes:
        schema: The features it was trained on, in order.
        booster: The trees.
        calibration: From margin to probability.
        blend: From model, ring and evidence to probability.
        policy: What to do at which probability.
        judge: What weighs evidence; None where there was too little of it to learn from.
        gnn: Weights of the graph model that was learned with it; None where there is none.
        seed: The seed it was trained with.
        created: When, as the caller said (RFC 3339); never the clock of this module.
        metrics: Figures of the training, plain JSON values.
        data: What it was trained on, plain JSON values.
        versions: Libraries that took part in training, by name.
    """

    schema: FeatureSchema
    booster: Booster
    calibration: Calibration
    blend: Blend
    policy: Policy
    judge: EvidenceJudge | None = None
    gnn: GraphStack | None = None
    seed: int = 0
    created: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def version(self) -> str:
        """First 16 hex digits of the SHA-256 of the directory's checksums."""
        return hashlib.sha256(self._files[SUMS]).hexdigest()[:16]

    def probability(self, row: NDArray[np.float32]) -> float:
        """Calibrated probability of fraud of one row, float32 [F]: the model score."""
        return self.calibration.apply(self.booster.margin(row))

    def own_probability(self, row: NDArray[np.float32]) -> float:
        """Probability after the blend without ring, evidence or any connection feature.

        What the connection families added along the walked paths is taken back from the margin.
        For `Policy.decide`, where a transaction without evidence would be declined; 20 to 40
        microseconds, so ask only then.
        """
        parts, _ = self.booster.contributions(row)
        connected = float(parts[self._connection_columns].sum())
        margin = self.booster.margin(row) - max(connected, 0.0)
        return self.blend.combine(self.calibration.log_odds(margin), 0.0, 0.0)

    def shares(self, row: NDArray[np.float32]) -> tuple[FamilyShare, ...]:
        """What each family of features added for one row; off the hot path."""
        return family_shares(self.booster, self.schema, row)

    @cached_property
    def _connection_columns(self) -> NDArray[np.intp]:
        connected = self.schema.connection_families
        return np.array(
            [i for i, family in enumerate(self.schema.families) if family in connected],
            dtype=np.intp,
        )

    @cached_property
    def _files(self) -> dict[str, bytes]:
        metadata = {
            "format": FORMAT,
            "names": self.schema.names,
            "families": self.schema.families,
            "graph_families": sorted(self.schema.graph_families),
            "connection_families": sorted(self.schema.connection_families),
            "schema_hash": self.schema.hash,
            "calibration": self.calibration.as_json(),
            "blend": self.blend.as_json(),
            "policy": self.policy.as_json(),
            "policy_version": self.policy.version,
            "judge": None if self.judge is None else self.judge.as_json(),
            "gnn": None if self.gnn is None else self.gnn.as_json(),
            "seed": self.seed,
            "created": self.created,
            "metrics": self.metrics,
            "data": self.data,
            "versions": self.versions,
        }
        encoded = msgspec.json.format(msgspec.json.encode(metadata, order="sorted"), indent=2)
        files = {MODEL: self.booster.saved, METADATA: encoded + b"\n"}
        if self.judge is not None:
            files[JUDGE] = self.judge.booster.saved
            if self.judge.of_rings is not None:
                files[RING_JUDGE] = self.judge.of_rings.booster.saved
        files[SUMS] = _sums(files)
        return files

    def save(self, directory: Path) -> None:
        """Write the files, the checksums last: a torn directory does not load.

        Raises:
            InvalidSetting: The directory cannot be written.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / SUMS).unlink(missing_ok=True)
            for name in _OPTIONAL:
                if name not in self._files:
                    (directory / name).unlink(missing_ok=True)
            for name, content in self._files.items():  # in order: the checksums are the last
                (directory / name).write_bytes(content)
        except OSError as error:
            raise InvalidSetting(
                f"the model cannot be written: {error.strerror}",
                field="model directory",
                value=str(directory),
                remedy="Give a directory that can be written.",
            ) from error


def load_model(directory: Path, schema: FeatureSchema | None = None) -> TrainedModel:
    """Read a model directory and check every byte of it.

    Args:
        directory: What `TrainedModel.save` wrote.
        schema: The features the engine makes; given, the model must have the same, in order.

    Raises:
        Incompatible: A file is missing, torn or altered, of another format, or was trained on
            other features.
    """
    files = _read(directory)
    if _sums(files) != files[SUMS]:
        raise Incompatible(
            "the checksums do not match", field=SUMS, value=str(directory), remedy=_REMEDY
        )
    try:
        metadata = msgspec.json.decode(files[METADATA])
        found_format = metadata["format"]
        if found_format != FORMAT:
            raise Incompatible(
                f"expected format {FORMAT}",
                field=METADATA,
                value=str(found_format),
                remedy=_REMEDY,
            )
        trained_on = FeatureSchema(
            names=tuple(metadata["names"]),
            families=tuple(metadata["families"]),
            graph_families=frozenset(metadata["graph_families"]),
            connection_families=frozenset(metadata["connection_families"]),
        )
        if trained_on.hash != metadata["schema_hash"]:
            raise Incompatible(
                "the feature names do not have the hash that was recorded",
                field=f"{METADATA}: schema_hash",
                value=str(metadata["schema_hash"]),
                remedy=_REMEDY,
            )
        if schema is not None:
            _require_same(trained_on, schema)
        return TrainedModel(
            schema=trained_on,
            booster=Booster.from_json(files[MODEL], trained_on.names),
            calibration=read_calibration(metadata["calibration"]),
            blend=read_blend(metadata["blend"]),
            policy=read_policy(metadata["policy"]),
            judge=_judge_in(files, metadata["judge"]),
            gnn=read_graph_stack(metadata["gnn"]),
            seed=metadata["seed"],
            created=metadata["created"],
            metrics=metadata["metrics"],
            data=metadata["data"],
            versions=metadata["versions"],
        )
    except (msgspec.DecodeError, KeyError, TypeError, InvalidSetting) as error:
        raise Incompatible(
            "the metadata cannot be understood", field=METADATA, value=repr(error), remedy=_REMEDY
        ) from error


def _judge_in(files: Mapping[str, bytes], parameters: Any) -> EvidenceJudge | None:
    if parameters is None and JUDGE not in files:
        return None
    if not isinstance(parameters, dict) or JUDGE not in files:
        raise Incompatible(
            "there is a judge of evidence in one of the two files only",
            field=f"{METADATA}, {JUDGE}",
            value=repr(parameters)[:80],
            remedy=_REMEDY,
        )
    if (parameters.get("rings") is None) != (RING_JUDGE not in files):
        raise Incompatible(
            "there is a judge of rings in one of the two files only",
            field=f"{METADATA}, {RING_JUDGE}",
            value=repr(parameters.get("rings"))[:80],
            remedy=_REMEDY,
        )
    return read_judge(parameters, files[JUDGE], files.get(RING_JUDGE))


def _read(directory: Path) -> dict[str, bytes]:
    files = {}
    optional = [name for name in _OPTIONAL if (directory / name).exists()]
    for name in (MODEL, METADATA, *optional, SUMS):
        try:
            files[name] = (directory / name).read_bytes()
        except OSError as error:
            raise Incompatible(
                f"this is not a whole model directory: {error.strerror}",
                field=name,
                value=str(directory),
                remedy=_REMEDY,
            ) from error
    return files


def _sums(files: Mapping[str, bytes]) -> bytes:
    names = [name for name in (JUDGE, METADATA, MODEL, RING_JUDGE) if name in files]
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in names]
    return "".join(lines).encode()


def _require_same(trained_on: FeatureSchema, schema: FeatureSchema) -> None:
    if trained_on.hash == schema.hash:
        return
    pairs = zip(trained_on.names, schema.names, strict=False)
    place = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
    if place is None:
        what = f"it was trained on {len(trained_on.names)} features"
        found = str(len(schema.names))
    else:
        what = f"column {place} was {trained_on.names[place]!r} in training"
        found = schema.names[place]
    raise Incompatible(
        what,
        field="feature schema",
        value=found,
        remedy="Train the model again with the present features: `ringfence train`.",
    )
