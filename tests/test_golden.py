"""The numbers hold: fixed inputs give what they gave when `golden.json` was written. See `golden.py`.

A red case means that a change moved numbers. Mend it; or, where it is meant, raise the version of the method in
`upcrack_lite/versions.py`, run `python tests/golden.py --write`, and make the records anew.
"""

from __future__ import annotations

import json
import math

import golden
import pytest
import torch

# DDRNet's last maps are one pixel wide at the side of these cases, and batch norm over four of them divides by nearly
# nothing. So its second step follows rounding, which differs between processors. How far each value may be, relative:
NOISY = {"training and map ddrnet": {"loss": 1e-2, "valid": math.inf}}

BEFORE = json.loads(golden.FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def here() -> dict[str, tuple]:
    """What differs between this machine's arithmetic and that of the stored values."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = golden.fingerprint()
    torch.set_num_threads(threads)
    then = BEFORE["fingerprint"]
    return {
        name: (then.get(name), found.get(name))
        for name in found.keys() | then
        if then.get(name) != found.get(name)
    }


def test_every_case_is_stored_and_no_other():
    assert sorted(BEFORE["cases"]) == sorted(golden.CASES)


@pytest.mark.parametrize("name", golden.CASES)
def test_numbers_hold(name, here):
    now, before = golden.made(name), BEFORE["cases"][name]
    assert now["exact"] == before["exact"]
    assert now["near"].keys() == before["near"].keys()
    noisy = NOISY.get(name, {})
    far = {
        key: (value, now["near"][key])
        for key, value in before["near"].items()
        if not math.isclose(now["near"][key], value, rel_tol=noisy.get(key, 1e-4), abs_tol=1e-9)
    }
    assert not far, f"was, is: {far}"
    if here:
        pytest.skip(
            f"DIGESTS NOT COMPARED: this machine computes otherwise than the stored values say: {here}"
        )
    assert now["here"] == before["here"]
