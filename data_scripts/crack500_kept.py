"""The proxy set to train on, from the 360×360 crops in a mirror: make, verify, cut 1896 crops.

    python data_scripts/crack500_kept.py --accept-terms --mirror DIR

The same as `upcrack data build crack500_kept`; --help lists the options.
"""

from upcrack_lite.cli import script

if __name__ == "__main__":
    script("crack500_kept")
