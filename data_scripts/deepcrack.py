"""DeepCrack (Liu et al., 2019): fetch, verify, cut the 300 undamaged crops.

    python data_scripts/deepcrack.py --accept-terms

The same as `upcrack data build deepcrack`; --help lists the options.
"""

from upcrack_lite.cli import script

if __name__ == "__main__":
    script("deepcrack")
