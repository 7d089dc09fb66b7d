"""What the chapters show: figures, damages to look at, checks of exercises, and widgets.

Every chapter imports from here right after its parameters, so here a misspelled one of papermill's is found.
"""

import re
import sys

from upcrack_lite.errors import UserError

_SET = re.compile(r"^(\w+)(?: *:[^=\n]*)? *=(?!=)", re.MULTILINE)


def check_parameters(cells: list[str]) -> None:
    """Raise UserError where papermill's cell sets a name that a chapter does not have; papermill only logs it.

    cells: sources of the cells that have run, in order: "", the chapter's parameters, and those of papermill.
    """
    if len(cells) > 2 and cells[2].startswith("# Parameters\n"):
        known, given = (_SET.findall(cell) for cell in cells[1:3])
        if unknown := [name for name in given if name not in known]:
            raise UserError(f"no parameter is named {', '.join(unknown)}; there are: {', '.join(known)}")


if "IPython" in sys.modules and (_shell := sys.modules["IPython"].get_ipython()) is not None:
    check_parameters(_shell.user_ns.get("In", []))
