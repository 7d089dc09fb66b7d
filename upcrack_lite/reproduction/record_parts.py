"""The parts of a record: what each holds. How they must fit together is in `record_schema`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SerializerFunctionWrapHandler, model_serializer

Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+]00:00$")]


class Part(BaseModel):
    """Values that are all said, none too many, and never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Grown(Part):
    """A part with a field that records of earlier versions lack: where it is None, it is not written.

    So an older record that is read and written again stays as it was.
    """

    later: ClassVar[str]  # the field's name

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values = write(self)
        if values[self.later] is None:
            del values[self.later]
        return values


class Key(Part):
    """What names the cell."""

    method: str
    recipe: str
    scale: str
    overrides: dict[str, JsonValue]
    train_set: str
    test_set: str
    seed: Count


class Protocol(Part):
    """How the test was done; the other values of the detection are in `preset`."""

    size: Annotated[int, Field(ge=8)]  # side that photo and mask are stretched to, px
    resize_rule: Literal["area", "nearest"]
    dropout_seed: Count
    threshold_rule: str
    tolerance_px: Annotated[float, Field(ge=0)]


class Variant(Part):
    """One variant of a family: counts of pixels over all photos of a set."""

    name: str
    tp: Count
    fp: Count
    fn: Count
    tn: Count


class Chosen(Grown):
    """The variant of a detector without training that is best on the training photos."""

    later: ClassVar[str] = "training"

    name: str
    variants: Annotated[int, Field(ge=1)]  # among how many
    training_f1: Annotated[float, Field(ge=0, le=100)]  # percent, on the training photos
    training: list[Variant] | None = (
        None  # all variants on the training photos, in order; records of earlier versions lack it
    )


class Train(Part):
    """The training: its data, its length, its cost and its result."""

    crops: Count
    crops_trained: Count
    crops_validated: Count
    crops_sha256: Sha256  # of the pixels that went in
    crops_json: dict[str, JsonValue] | None  # how the crops were cut; None for roads drawn here
    set_manifest_sha256: Sha256 | None  # of the set that the crops were cut from
    max_steps: Count | None  # a limit makes a try, never a result
    steps: Count
    epochs: Count
    best_epoch: int
    precision: str
    seconds: Annotated[float, Field(ge=0)]
    peak_memory_mib: Count
    peak_gpu_memory_mib: Count | None
    style_weights: str | None
    start_sha256: Sha256 | None
    checkpoint_sha256: Sha256
    encoder: dict[str, JsonValue] | None = (
        None  # source and digest of weights to start from; None: from nothing
    )
    crack_masks_sha256: Sha256 | None = (
        None  # where the method learns from masks; the crops are then whole photos
    )
    chosen: Chosen | None = None


class Test(Part):
    """The test set."""

    __test__ = False  # the name begins with "Test", but pytest should not collect it

    digest: Sha256  # of the set's manifest
    known: Literal["packaged", "fetched", "synthetic"] | None
    content_sha256: Sha256  # of the files that were read
    images: Annotated[int, Field(ge=1)]
    crack_share: Annotated[float, Field(ge=0, le=100)]  # percent of the pixels at the protocol's size


class Environments(Grown):
    """Commit, versions, device and flags, as `runs.environment` reads them."""

    later: ClassVar[str] = "starts"

    training: dict[str, JsonValue]  # of the last start
    evaluation: dict[str, JsonValue]
    starts: list[dict[str, JsonValue]] | None = (
        None  # of all starts of an interrupted training, if they differ in commit, code or device
    )

    @property
    def trained(self) -> list[dict[str, Any]]:
        """The environments that the model was trained in, in order."""
        return list(self.starts or [self.training])


class Image(Part):
    """One test photo: counts of pixels at the protocol's size."""

    name: str
    tp: Count
    fp: Count
    fn: Count
    tn: Count
    threshold: Annotated[float, Field(ge=0, le=1)]
    tolerance: Annotated[list[Count], Field(min_length=4, max_length=4)]  # as `thin_shapes.tolerance_counts`
    cldice: Annotated[float, Field(ge=0, le=100 + 1e-9)] | None  # percent; None where it is undefined


class Versions(Part):
    """Versions of the numbers, as `upcrack_lite.versions` counts them."""

    training: Annotated[int, Field(ge=1)]
    testing: Annotated[int, Field(ge=1)]


class Arrays(Part):
    """The file of arrays beside the record."""

    file: Annotated[str, Field(pattern=r"^[\w.-]+\.npz$")]
    sha256: Sha256
