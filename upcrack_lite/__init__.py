"""UP-CrackNet in small, readable parts: the helper module behind the book."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("upcrack-lite")
except PackageNotFoundError:  # run from a bare checkout, for example on a GPU machine without pip
    __version__ = "0+unknown"
