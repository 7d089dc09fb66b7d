"""CrackForest (Shi et al., 2016): fetch, verify. A set to test on, so no crops are cut.

    python data_scripts/cfd.py --accept-terms

The same as `upcrack data build cfd`; --help lists the options.
"""

from upcrack_lite.cli import script

if __name__ == "__main__":
    script("cfd")
