"""DeepLabv3+ (Chen et al. 2018, reference 38 of the paper): `deeplabv3plus` in the tables.

An encoder whose last stage is dilated instead of strided sees the photo at 1/16. Five parallel branches look at
that map: a 1×1 convolution, 3×3 convolutions dilated 6, 12 and 18 times, and the mean of the whole map. Their joint
output is enlarged four times, joined with the encoder's map at 1/4, and refined. The network is the library's; this
file says which of its variants stands for the paper's row.
"""

from __future__ import annotations

from upcrack_lite.baselines.base import Method
from upcrack_lite.baselines.blocks import FromLibrary, scaled

RATES = (6, 12, 18)  # dilations of the three 3×3 branches at 1/16
BRANCH = 256  # channels of each branch and of the decoder
MIDDLE_BLOCKS = 16  # of the encoder, all alike


def xception65(width: float) -> list[dict]:
    """The blocks of the aligned Xception of 65 layers: channels in, channels out, stride. timm builds from it."""
    c128, c256, c728, c1024, c1536, c2048 = (scaled(c, width) for c in (128, 256, 728, 1024, 1536, 2048))
    return [
        {"in_chs": 64, "out_chs": c128, "stride": 2},
        {"in_chs": c128, "out_chs": c256, "stride": 2},
        {"in_chs": c256, "out_chs": c728, "stride": 2},
        *({"in_chs": c728, "out_chs": c728, "stride": 1} for _ in range(MIDDLE_BLOCKS)),
        {"in_chs": c728, "out_chs": (c728, c1024, c1024), "stride": 2},  # dilated instead, at 1/16
        {
            "in_chs": c1024,
            "out_chs": (c1536, c1536, c2048),
            "stride": 1,
            "no_skip": True,
            "start_with_relu": False,
        },
    ]


class DeepLabV3Plus(FromLibrary):
    """The library's network with an Xception encoder; sides of the image are multiples of 16."""

    multiple = 16

    def __init__(self, width: float = 1.0) -> None:
        import segmentation_models_pytorch as smp

        super().__init__(
            smp.DeepLabV3Plus(
                "tu-xception65",
                encoder_weights=None,
                encoder_output_stride=16,
                decoder_channels=scaled(BRANCH, width, least=16),
                decoder_atrous_rates=RATES,
                decoder_aspp_separable=False,
                block_cfg=xception65(width),
            )
        )


METHOD = Method(
    title="DeepLabv3+",
    strategy="general_supervised",
    build=DeepLabV3Plus,
    parameters=54.70,
    encoder="xception65",
    source="segmentation-models-pytorch; count of yassouali/pytorch-segmentation, Xception at 1/16",
    chosen=(
        "The paper names no encoder; the kit takes the Xception of 65 layers that DeepLabv3+ was published with.",
        "The three dilated branches are full convolutions, as in the source whose parameters are counted.",
        "The library's decoder has separable convolutions, so it needs 24 % fewer multiply-adds than that source.",
        "A smaller width narrows Xception's blocks; its first two convolutions keep 32 and 64 channels, and the "
        "skip connection its 48.",
    ),
)
