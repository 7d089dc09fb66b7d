"""`upcrack train --method`: what each kind of method learns from, how few crops are enough, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from upcrack_lite import cli
from upcrack_lite.data.catalog import LEAST_CROPS
from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.errors import UserError
from upcrack_lite.io import write_image
from upcrack_lite.reproduction.run import tiny_values
from upcrack_lite.runs import RunFolder

FAMILY = "tf_global_darkness_otsu"


@pytest.fixture
def roads(tmp_path) -> Path:
    """A small set with masks, `plain`, and six undamaged photos, `own`."""
    for index in range(6):
        photo, crack_mask = synthetic_road(96, [index, 7])
        write_image(tmp_path / f"plain/image/{index}.png", photo)
        write_image(tmp_path / f"plain/mask/{index}.png", crack_mask.astype(np.uint8) * 255)
        write_image(tmp_path / f"own/{index}.png", synthetic_road(96, [index, 8], crack=False)[0])
    return tmp_path


def train(out: Path, data: Path | str, method: str, *words: str) -> tuple[str, RunFolder]:
    """What the command says of a training of few steps, and its run."""
    values = [f"--set={name}={json.dumps(value)}" for name, value in tiny_values(method).items()]
    steps = {FAMILY: [], "patchcore": ["--vgg-weights=random"]}.get(method, ["--max-steps=1"])
    words = ["train", f"--data={data}", f"--out={out}", f"--method={method}", *steps, *values, *words]
    result = CliRunner().invoke(cli.app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, RunFolder.open(out)


@pytest.mark.parametrize("method", ["upcracknet", "riad", "drawn", "patchcore", "unet", FAMILY])
@pytest.mark.parametrize("data", ["plain", "synthetic"])
def test_each_kind_of_method_learns_from_what_it_needs(roads, method, data):
    crops = ["--crops=8"] if data == "synthetic" or method not in ("unet", FAMILY) else []
    window = ["--window=24"] if crops and data == "plain" else []
    folder = data if data == "synthetic" else roads / data
    said, run = train(roads / "run", folder, method, *crops, *window)
    assert (run.finished, run.method) == (True, method)
    assert run.manifest["data"]["name"] == data
    assert run.manifest["data"]["crops"] == (8 if crops else 6)
    masks = method in ("unet", FAMILY)
    assert (run.manifest.get("crack_masks_sha256") is not None) == masks
    assert ("photos with crack masks" if masks else "undamaged crops") in said
    assert {FAMILY: "the best of 6, F1", "patchcore": "without steps"}.get(method, "1 steps") in said


@pytest.mark.parametrize("method", ["upcracknet", "scadn"])
def test_training_goes_on_with_the_crops_that_there_are_and_says_how_many(roads, method):
    words = ["--layout=photos", "--window=48", "--margin=0"]
    said, run = train(roads / "run", roads / "own", method, *words)
    count = run.manifest["data"]["crops"]
    assert LEAST_CROPS <= count < 300
    assert f"{count} undamaged crops (300 asked for; there is no room for more) from 6 photos" in said
    with pytest.raises(UserError, match=rf"only 6 .*, {LEAST_CROPS} needed: use a smaller window"):
        train(roads / "none", roads / "own", method, "--layout=photos", "--window=96")
    assert not (roads / "none").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--method=segnet"], "unknown method 'segnet'; choose one of deeplabv3plus"),
        (["--method=unet", "--recipe=released"], "unet has one recipe, paper"),
        (["--method=unet", "--set=lambda_mae=3"], "unknown preset value 'lambda_mae'; choose one of"),
        (["--method=unet", "--set=method=enet"], "an option of its own: --method enet"),
        ([f"--method={FAMILY}", "--set=map=gabor"], "map cannot be set otherwise"),
        ([f"--method={FAMILY}", "--max-steps=3"], "has no use for --max-steps"),
        (["--method=unet", "--vgg-weights=random"], "has no use for --vgg-weights"),
        (["--method=unet", "--window=50"], "taken whole: leave out --window"),
        (["--method=unet", "--layout=photos"], "learns from crack masks, and here are none"),
        (
            ["--data=synthetic", "--method=unet", "--margin=3"],
            "drawn, not cut from photos: leave out --margin",
        ),
        (["--data=synthetic", "--window=50"], "drawn, not cut from photos: leave out --window"),
    ],
)
def test_what_a_method_does_not_have_is_refused(roads, words, says):
    out = roads / "run"
    result = CliRunner().invoke(cli.app, ["train", f"--data={roads / 'plain'}", f"--out={out}", *words])
    assert isinstance(result.exception, UserError)
    assert says in str(result.exception)
    assert not out.exists()


@pytest.mark.filterwarnings("default")
def test_dim_masks_are_said_once_as_plain_text(roads, capsys):
    for path in (roads / "plain/mask").iterdir():
        Image.fromarray(np.asarray(Image.open(path)) // 255 * np.uint8(38)).save(path)
    words = ["train", "--data", roads / "plain", "--out", roads / "run", "--method", FAMILY]
    with pytest.raises(SystemExit):
        cli.run([str(word) for word in words])
    said = f"upcrack: {roads / 'plain/mask'}: holds masks with the values 0 and 38; 38 is read as crack"
    assert [line for line in capsys.readouterr().err.splitlines() if "38" in line] == [said]
