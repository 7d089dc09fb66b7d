"""Pictures behind switches: which case shows, in a browser, without a script."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from upcrack_lite.errors import UserError
from upcrack_lite.show.switches import switches

CHOICES = {"holes": ("black", "white <1>"), "crack": ("dark", "bright", "none")}
CASES = {
    case: ([("road", np.full((8, 8, 3), 90, np.uint8)), ("map", np.eye(8) / 4)], f"AP of {' & '.join(case)}")
    for case in itertools.product(*CHOICES.values())
}


def test_each_case_has_a_rule_and_its_pictures():
    html = switches("two", CHOICES, CASES, 0.5).data
    assert html.count("data:image/webp") == 2 * len(CASES)
    assert len(set(re.findall(r"#two:has.*?(case-\d)", html))) == len(CASES)
    assert "<1>" not in html


@pytest.mark.parametrize("cases", [dict(list(CASES.items())[1:]), CASES | {("gray", "dark"): ([], "")}])
def test_missing_and_unknown_cases_are_refused(cases):
    with pytest.raises(UserError, match="exactly the cases"):
        switches("two", CHOICES, cases, 0.5)


@pytest.mark.site
def test_what_is_chosen_by_mouse_and_keys_shows_without_a_script(browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(switches("two", CHOICES, CASES, 0.5).data)

    def visible() -> list[str]:
        return [
            text for text in page.locator("#two p").all_inner_texts() if page.get_by_text(text).is_visible()
        ]

    assert visible() == ["AP of black & dark"]
    page.get_by_label("white <1>").check()
    page.get_by_label("dark").focus()
    page.keyboard.press("ArrowRight")
    assert visible() == ["AP of white <1> & bright"]
    assert page.get_by_role("img", name="map: white <1>, bright").is_visible()
    context.close()
