"""UPerNet (Xiao et al. 2018, reference 59 of the paper): `upernet` in the tables.

A ResNet gives maps at 1/4, 1/8, 1/16 and 1/32. PSPNet's pyramid stands on the coarsest; from there, each map is
enlarged and added to the next finer one. The four results are joined at 1/4. The network is the library's; this
file says which of its variants stands for the paper's row.
"""

from __future__ import annotations

from upcrack_lite.baselines.base import Method
from upcrack_lite.baselines.blocks import FromLibrary, resnet_channels, scaled

DECODER = 512  # channels of pyramid, of every enlarged map, and of their join


class UPerNet(FromLibrary):
    """The library's network with a ResNet-101 encoder; sides of the image are multiples of 32."""

    def __init__(self, width: float = 1.0) -> None:
        import segmentation_models_pytorch as smp

        super().__init__(
            smp.UPerNet(
                "tu-resnet101",
                encoder_weights=None,
                decoder_channels=scaled(DECODER, width),
                channels=resnet_channels(width),
            )
        )


METHOD = Method(
    title="UPerNet",
    strategy="general_supervised",
    build=UPerNet,
    parameters=86.0,
    encoder="resnet101",
    source="segmentation-models-pytorch; count of Liu et al. 2021 (Swin Transformer), ResNet-101",
    chosen=(
        "The paper names no encoder; the kit takes ResNet-101, the most common one.",
        "The decoder has 512 channels, as in the counted network; the library's default is 256.",
        "The library normalizes the encoder's maps before they are joined, and has no second output in training.",
        "yassouali/pytorch-segmentation has 126.1 million parameters: its pyramid ends in 2048 channels.",
        "A smaller width narrows ResNet's stages; its first convolution keeps 64 channels.",
    ),
)
