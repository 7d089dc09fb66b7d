"""200 patches of 256×256 px cut from CrackForest: make, verify.

    python data_scripts/cfd_patches.py --accept-terms

The same as `upcrack data build cfd_patches`; --help lists the options.
"""

from upcrack_lite.cli import script

if __name__ == "__main__":
    script("cfd_patches")
