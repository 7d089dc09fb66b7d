"""Pictures behind switches, as HTML without a script: what is chosen shows, with a kernel and without."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import cv2
import numpy as np

from upcrack_lite.errors import UserError
from upcrack_lite.show.markup import part

Pictures = Sequence[tuple[str, np.ndarray]]
"""Title and picture: a photo, uint8 ``(H, W, 3)``, or a map, float ``(H, W)``."""

_CSS = """
#{id} fieldset {{ border: 0; display: inline-block; margin: 0 1.5rem 0.4rem 0; padding: 0; }}
#{id} legend {{ font-size: 0.9rem; margin: 0; }}
#{id} label {{ display: inline-block; margin-right: 0.9rem; min-height: 1.9rem; }}
#{id} .case div {{ display: grid; gap: 0.4rem 0.8rem; grid-template-columns: repeat(auto-fit, minmax(5.5rem, 1fr)); }}
#{id} :is(figure, figcaption) {{ color: inherit; font-weight: normal; margin: 0; padding: 0; }}
#{id} img {{ image-rendering: pixelated; padding: 0; width: 100%; }}
@supports selector(:has(a)) {{ #{id} .case {{ display: none; }} }}
"""
"""Where a browser knows no :has, all cases show, one below the other."""


def switches(
    name: str,
    choices: Mapping[str, Sequence[str]],
    cases: Mapping[tuple[str, ...], tuple[Pictures, str]],
    heat_max: float,
) -> Any:
    """Switches, one for each of `choices`, and the pictures and the sentence of the case that they choose.

    name: of the HTML element, one on a page. choices: switch to its options, of which the first is chosen at the
    start. cases: one option of each switch to its pictures and a sentence. heat_max: where a map's colors end.
    Raises UserError where a case is missing or too many.
    """
    wanted = list(itertools.product(*choices.values()))
    if set(wanted) != set(cases):
        raise UserError(f"switches {name}: give exactly the cases {wanted}, not {list(cases)}")
    rules, controls, shown = [_CSS.format(id=name)], [], []
    for at, (title, options) in enumerate(choices.items()):
        inputs = "".join(
            f'<label><input type="radio" name="{name}-{at}" value="{number}"{" checked" * (number == 0)}> '
            f"{escape(option)}</label>"
            for number, option in enumerate(options)
        )
        controls.append(f"<fieldset><legend>{escape(title)}</legend>{inputs}</fieldset>")
    places = itertools.product(*(range(len(options)) for options in choices.values()))
    for number, (case, place) in enumerate(zip(wanted, places, strict=True)):
        chosen = "".join(f':has([name="{name}-{at}"][value="{one}"]:checked)' for at, one in enumerate(place))
        rules.append(f"#{name}{chosen} .case-{number} {{ display: block; }}\n")
        pictures, sentence = cases[case]
        figures = "".join(_figure(title, picture, ", ".join(case), heat_max) for title, picture in pictures)
        shown.append(f'<div class="case case-{number}"><div>{figures}</div><p>{escape(sentence)}</p></div>')
    text = f'<style>{"".join(rules)}</style>{"".join(controls)}<div aria-live="polite">{"".join(shown)}</div>'
    return part(f'<div id="{name}">{text}</div>')


def _figure(title: str, picture: np.ndarray, case: str, heat_max: float) -> str:
    if picture.dtype.kind == "f":
        levels = (255 * np.clip(picture / heat_max, 0, 1)).astype(np.uint8)
        picture = cv2.applyColorMap(levels, cv2.COLORMAP_MAGMA)[..., ::-1]
    data = base64.b64encode(cv2.imencode(".webp", picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 90])[1])
    image = f'<img alt="{escape(f"{title}: {case}")}" src="data:image/webp;base64,{data.decode()}">'
    return f"<figure>{image}<figcaption>{escape(title)}</figcaption></figure>"
