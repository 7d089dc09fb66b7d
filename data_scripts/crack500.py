"""Crack500 in its official layout: unpack what was downloaded by hand, verify, cut 1896 crops.

    python data_scripts/crack500.py --accept-terms --from traincrop.zip --from valcrop.zip --from testcrop.zip

The same as `upcrack data build crack500`; --help lists the options.
"""

from upcrack_lite.cli import script

if __name__ == "__main__":
    script("crack500")
