"""Which public sets there are: where they come from, what their authors allow, what belongs in them.

Chapter: the data. A set that its authors keep behind a page for browsers has no address but instructions; a
set that is made from another one on this machine names that one. Terms of use are shown and accepted once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from upcrack_lite.errors import UserError
from upcrack_lite.io import clear_leftovers, load_json, write_json
from upcrack_lite.recipes import check_value

_ACCEPTED = ".accepted-terms.json"


@dataclass(frozen=True)
class Source:
    """One public set, or one that is made from a public set.

    name: in commands and paths, such as `deepcrack`. title: in texts, with authors and year.
    layout: a key of `layouts.LAYOUTS`. terms: what its authors allow, in our words. cite: the papers to cite.
    address: public address of the archive; empty without a scripted download. archive: the file name to store it
    under. members: the folder of it that is unpacked; empty unpacks all.
    instructions: for a set that must be fetched by hand, the exact steps.
    disk_mb: size of the set on disk in megabytes.
    counts: number of pairs, or of undamaged photos, for each part as `survey.Photo` names them.
    shares: for each part the range, in percent, that its prevalence (crack pixels) is known to lie in.
    sizes: (width, height) of the photos that have a mask or are undamaged; empty where not checked.
    made_from: name of the source that this one is made from.
    crops: how many undamaged crops the paper trains on (section IV-A); the proxy sets take Crack500's number. 0 for
    the sets without a split that the tables test on, and for crops that are cut already.
    """

    name: str
    title: str
    layout: str
    terms: str
    cite: str
    address: str = ""
    archive: str = ""
    members: str = ""
    instructions: str = ""
    disk_mb: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    shares: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    sizes: frozenset[tuple[int, int]] = frozenset()
    made_from: str | None = None
    crops: int = 0


_CITE_CRACK500 = (
    "Zhang, Yang, Zhang, Zhu: Road crack detection using deep convolutional neural network, ICIP 2016, "
    "pp. 3708-3712; and Yang, Zhang, Yu, Prokhorov, Mei, Ling: Feature pyramid and hierarchical boosting "
    "network for pavement crack detection, IEEE T-ITS 2019"
)
_TERMS_CRACK500 = "No license is stated. The authors ask you to cite both papers."
_CITE_CFD = (
    "Shi, Cui, Qi, Meng, Chen: Automatic road crack detection using random structured forests, "
    "IEEE T-ITS 17(12), 2016, pp. 3434-3445"
)
_TERMS_CFD = "For non-commercial research only."


_CROPS360 = Source(
    name="crack500_crops360",
    title="Training crops of Crack500, cut to 360×360",
    layout="plain",
    terms=_TERMS_CRACK500,
    cite=_CITE_CRACK500,
    instructions=(
        "We know no public address of these files. Name a folder that holds them: "
        "upcrack data fetch crack500_crops360 --mirror DIR (or set UPCRACK_MIRROR)"
    ),
    disk_mb=88,
    counts={"all": 1754},
    shares={"all": (8.5, 8.6)},
    sizes=frozenset({(360, 360)}),
    crops=1896,
)

_ALL = (
    Source(
        name="deepcrack",
        title="DeepCrack (Liu et al., 2019)",
        layout="deepcrack",
        terms="For non-commercial research and education only.",
        cite="Liu, Yao, Lu, Xie, Li: DeepCrack: A deep hierarchical feature learning architecture for crack "
        "segmentation, Neurocomputing 338, 2019, pp. 139-153",
        address="https://github.com/yhlleo/DeepCrack/raw/master/dataset/DeepCrack.zip",
        archive="DeepCrack.zip",
        disk_mb=66,
        counts={"train": 300, "test": 237},
        shares={"train": (2.85, 2.95), "test": (4.30, 4.40)},
        sizes=frozenset({(544, 384), (384, 544)}),
        crops=300,
    ),
    Source(
        name="cfd",
        title="CrackForest (Shi et al., 2016)",
        layout="cfd",
        terms=_TERMS_CFD,
        cite=_CITE_CFD,
        # GitHub packs this archive anew on demand, so its checksum may change while the files do not.
        address="https://github.com/cuilimeng/CrackForest-dataset/archive/refs/heads/master.zip",
        archive="CrackForest-dataset.zip",
        disk_mb=6,
        counts={"all": 118},
        # Label 3 is intact road enclosed by cracks. Taken for crack, it makes the prevalence about 2.29 %.
        shares={"all": (1.6, 1.75)},
        sizes=frozenset({(480, 320)}),  # of the labeled photos; 328 and 329, never labeled, are 320×480
    ),
    Source(
        name="crack500",
        title="Crack500 (Zhang et al., 2016; Yang et al., 2019)",
        layout="crack500",
        terms=_TERMS_CRACK500,
        cite=_CITE_CRACK500,
        instructions=(
            "Its authors offer it on two pages that ask for a browser:\n"
            "1. Open https://drive.google.com/open?id=1y9SxmmFVh0xdQR-wdchUmnScuWMJ5_O- (Google Drive), or "
            "https://pan.baidu.com/s/1JwJO96BOtJ50MykBcYKknQ with the code jviq (Baidu).\n"
            "2. From the folder CRACK500 download traincrop.zip, valcrop.zip and testcrop.zip.\n"
            "3. Run: upcrack data fetch crack500 --from traincrop.zip --from valcrop.zip "
            "--from testcrop.zip\n"
            "   If you have unpacked them already, run: upcrack data fetch crack500 --from FOLDER"
        ),
        disk_mb=230,
        counts={"train": 1896, "val": 348, "test": 1124},
        shares={"test": (5.4, 5.8)},
        sizes=frozenset({(640, 360), (360, 640)}),
        crops=1896,
    ),
    Source(
        name="crack500_authors",
        title="Crack500 as the paper's authors keep it (256×256)",
        layout="crack500_authors",
        terms="No license is stated. The photos are those of Crack500: cite both papers.",
        cite=_CITE_CRACK500,
        # The commit that added the data: it stays the same when the branch moves on.
        address="https://github.com/NaChuaN666/UP-CrackNet/archive/4639e8e187528dc384c5014ec49d8d077e9b85a1.zip",
        archive="UP-CrackNet.zip",
        members="dataset",
        instructions=(
            "the authors' README also names a Baidu folder, which asks for a browser: "
            "https://pan.baidu.com/s/1rKb4f8z8NB1bOCNDFm4log?pwd=5pnj"
        ),
        disk_mb=577,
        counts={"train": 1896, "val": 348, "test": 1124},
        sizes=frozenset({(256, 256)}),
    ),
    _CROPS360,
    replace(
        _CROPS360,
        name="crack500_kept",
        title="Proxy set for training: four fifths of the photo groups of crack500_crops360",
        instructions="",
        disk_mb=72,
        counts={"all": 1421},  # crops of 180 of the 225 groups
        made_from="crack500_crops360",
    ),
    replace(
        _CROPS360,
        name="crack500_heldout",
        title="Proxy set for testing: one fifth of the photo groups of crack500_crops360",
        instructions="",
        disk_mb=17,
        counts={"all": 333},  # crops of the other 45
        shares={"all": (8.6, 8.7)},
        crops=0,
        made_from="crack500_crops360",
    ),
    Source(
        name="cfd_patches",
        title="200 patches of 256×256 pixels cut from CrackForest",
        layout="plain",
        terms=_TERMS_CFD,
        cite=_CITE_CFD,
        disk_mb=27,
        counts={"all": 200},
        # The paper's rows imply 1.743 %. Which 200 patches were scored is not said, hence the wide range.
        shares={"all": (1.2, 2.3)},
        sizes=frozenset({(256, 256)}),
        made_from="cfd",
    ),
)

SOURCES: dict[str, Source] = {entry.name: entry for entry in _ALL}
"""Every known set by its name."""


def source(name: str) -> Source:
    """Return the set of this name.

    Raises UserError: there is no such set; the message lists the names.
    """
    check_value("data set", name, tuple(SOURCES))
    return SOURCES[name]


def accept(wanted: Source, root: Path, accepted_now: bool) -> None:
    """Note in `root` that the terms of a set are accepted.

    Raises UserError: they are not, now or earlier; the message holds the terms and says how to accept them.
    """
    if accepted(wanted, root):
        return
    if not accepted_now:
        raise UserError(
            f"{wanted.title}. Terms of use: {wanted.terms}\n"
            f"Please cite: {wanted.cite}\n"
            f"If you accept these terms, add --accept-terms. You are asked once."
        )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    clear_leftovers(root, _ACCEPTED)
    write_json(root / _ACCEPTED, _noted(root) | {wanted.name: {"terms": wanted.terms, "accepted": now}})


def accepted(wanted: Source, root: Path) -> bool:
    """Return True if the terms of a set, as they are now, were accepted in `root`."""
    noted = _noted(root).get(wanted.name)
    return isinstance(noted, dict) and noted.get("terms") == wanted.terms


def _noted(root: Path) -> dict[str, Any]:
    """Read the notes. A file that cannot be read counts as none: the worst is to be asked again."""
    try:
        return dict(load_json(root / _ACCEPTED))
    except (OSError, ValueError, TypeError):
        return {}
