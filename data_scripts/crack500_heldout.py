"""The proxy set to test on, from the 360×360 crops in a mirror: make, verify.

    python data_scripts/crack500_heldout.py --accept-terms --mirror DIR

The same as `upcrack data build crack500_heldout`; --help lists the options.
"""

from upcrack_lite.cli import script

if __name__ == "__main__":
    script("crack500_heldout")
