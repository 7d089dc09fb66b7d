"""Draw the picture of the front page with the stored checkpoint: training above, inspection below.

python workflow/front_picture.py book/_static/front.png
"""

from __future__ import annotations

import sys

import numpy as np

from upcrack_lite.data.synthetic import synthetic_road, synthetic_set
from upcrack_lite.detection import binarize, error_map, smooth
from upcrack_lite.generator import restore
from upcrack_lite.images import overlay, to_tensor, to_uint8
from upcrack_lite.masks import all_multi_scale_square, apply
from upcrack_lite.pretrained import load_generator, stored_run
from upcrack_lite.show.figures import images, use_style

SEED = [0, 1004]  # a road on which the small network does well; chapter 1 shows others

if __name__ == "__main__":
    use_style()
    generator, preset = load_generator(stored_run())
    photo, _ = synthetic_road(preset.size, SEED)
    image, whole = map(to_tensor, (photo, synthetic_road(preset.size, SEED, crack=False)[0]))
    masked = apply(whole, all_multi_scale_square(preset.size, preset.mask_cells)[2:3])
    # The threshold of chapter 1: two of a thousand pixels of undamaged road lie above it.
    clean = to_tensor(synthetic_set(24, preset.size, 77, crack_free=1.0).images)
    filled, restored, again = (
        restore(generator, x, "running", dropout=False) for x in (masked, image, clean)
    )
    threshold = float(np.quantile(smooth(error_map(clean, again), 5, 75, 1).numpy(), 0.998))
    errors = smooth(error_map(image, restored), 5, 75, 1)
    panels = [
        ("undamaged road", to_uint8(whole)[0]),
        ("squares removed", to_uint8(masked)[0]),
        ("restored", to_uint8(filled)[0]),
        ("error in training", error_map(whole, filled)[0, 0].numpy()),
        ("photo to inspect", photo),
        ("restored", to_uint8(restored)[0]),
        ("error map", errors[0, 0].numpy()),
        ("cracks found", overlay(photo, binarize(errors, "fixed", threshold)[0, 0].numpy())),
    ]
    images(panels, heat_max=0.25).savefig(sys.argv[1], dpi=130)
