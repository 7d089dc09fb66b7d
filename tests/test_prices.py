"""The price list: hours from timed steps and counted operations, for each row and for whole tables."""

from __future__ import annotations

import json

import pytest

from upcrack_lite.errors import UserError
from upcrack_lite.show.prices import PLAIN, ROWS, full, images, price_list


def test_a_training_sees_its_photos_in_every_epoch():
    assert images("upcracknet", "deepcrack") == pytest.approx(270 * 200)
    assert images("unet", "crack500") == pytest.approx(1896 * 200)
    assert full(PLAIN).lambda_style == 0 < full("upcracknet").lambda_style


def test_hours_and_money(tmp_path):
    seconds = dict.fromkeys(ROWS, 2.0)
    one = {"machine": "M", "seconds": seconds, "operations": dict.fromkeys(ROWS, 6e12)}
    (tmp_path / "price.json").write_text(json.dumps([one]))
    shown = price_list({"C": (10.0, 3.0)}, 0.2, tmp_path).data  # 3 s an image on C
    cells = [line.split("</td>")[0].split(">")[-1] for line in shown.split("U-Net")[1].split("<td")[1:6]]
    assert cells == ["6,000", "33.3 h", "211 h", "50 h", "316 h"]
    table_1 = shown.split("Table I:")[1].split("</tr>")[0]
    hours = 3 * 9 * 1896 * 0.9 * 200 * 3 / 3600
    assert f"{hours:,.0f} h ({3 * hours:,.0f})" in table_1
    assert "at 3 an hour (C)" in shown
    assert "20 % of 10 TFLOP/s (C)" in shown


def test_a_machine_that_has_timed_one_row_is_left_out(tmp_path):
    whole = {"machine": "M", "seconds": dict.fromkeys(ROWS, 2.0), "operations": dict.fromkeys(ROWS, 6e12)}
    part = {"machine": "N", "seconds": {"unet": 1.0}, "operations": {"unet": 6e12}}
    (tmp_path / "price.json").write_text(json.dumps([whole, part]))
    shown = price_list({}, 0.2, tmp_path).data
    assert (">M<" in shown, ">N<" in shown) == (True, False)
    (tmp_path / "price.json").write_text(json.dumps([part]))
    with pytest.raises(UserError, match="no machine has timed every row"):
        price_list({}, 0.2, tmp_path)
