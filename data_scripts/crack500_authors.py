"""The 256×256 files of Crack500 that the paper's authors keep: fetch, verify.

    python data_scripts/crack500_authors.py --accept-terms

The same as `upcrack data build crack500_authors`; --help lists the options.
"""

from upcrack_lite.cli import script

if __name__ == "__main__":
    script("crack500_authors")
