"""Pieces of the widgets: a titled picture, a row that wraps on a narrow screen, a block of controls."""

from __future__ import annotations

import ipywidgets
from ipywidgets import Layout

# A dark page or JupyterLab theme keeps black pictures and dark letters apart only if the plate below is white.
PLATE = """<style>.upcrack-plate { background: #fff; color: #111; padding: 8px; box-sizing: border-box;
  --jp-widgets-label-color: #111; --jp-widgets-readout-color: #111; --jp-widgets-input-color: #111;
  --jp-widgets-input-background-color: #fff; --jp-widgets-input-border-color: #888; }
  .upcrack-plate .widget-html-content { color: #111; }</style>"""


class Plate(ipywidgets.VBox):
    """A white ground for a widget, no wider than the page."""

    def __init__(self, *children: ipywidgets.Widget) -> None:
        # The hidden box with the style takes no room and travels with the widget into every page that shows it.
        style = ipywidgets.HTML(PLATE, layout=Layout(display="none"))
        super().__init__([style, *children], layout=Layout(max_width="100%"))
        self.add_class("upcrack-plate")


class Panel(ipywidgets.VBox):
    """A title over a picture as wide as its column."""

    def __init__(self, title: str, format: str = "png") -> None:
        self.title = ipywidgets.HTML(title)
        self.image = ipywidgets.Image(format=format, layout=Layout(width="100%", object_fit="contain"))
        layout = Layout(min_width="0", overflow="hidden")
        super().__init__([self.title, self.image], layout=layout)

    def show(self, data: bytes, title: str | None = None) -> None:
        """Put a picture, and a title where it changes, into the panel; an equal one is not sent again."""
        if self.image.value != data:
            self.image.value = data
        if title is not None and self.title.value != title:
            self.title.value = title


def pictures(*panels: Panel) -> ipywidgets.GridBox:
    """Put panels into equal columns of about 200 px: three beside each other in a book's page, two on a phone."""
    columns = "repeat(auto-fill, minmax(min(45%, 200px), 1fr))"
    layout = Layout(grid_template_columns=columns, grid_gap="6px", width="100%", max_width="1000px")
    return ipywidgets.GridBox(panels, layout=layout)


def row(*children: ipywidgets.Widget) -> ipywidgets.Box:
    """Put widgets side by side; what does not fit goes below, so that a phone shows them under each other."""
    return ipywidgets.Box(children, layout=Layout(flex_flow="row wrap", max_width="100%", grid_gap="6px"))


def controls(*children: ipywidgets.Widget) -> ipywidgets.Box:
    """Put controls side by side with descriptions of one width."""
    for child in children:
        child.layout.width = "310px"
        child.layout.max_width = "100%"
        child.style.description_width = "95px"
    return row(*children)
