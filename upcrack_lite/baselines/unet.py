"""U-Net (Ronneberger et al. 2015, reference 60 of the paper): `unet` in the tables.

Five levels of two 3×3 convolutions with 64 to 1024 channels, each at half the size of the one before; then back up,
where each level is joined with the map of its size from the way down. The way down is plain enough to stand here;
the way up is the decoder of segmentation-models-pytorch.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from upcrack_lite.baselines.base import Method, Supervised
from upcrack_lite.baselines.blocks import scaled

CHANNELS = (64, 128, 256, 512, 1024)  # of the five levels


class UNet(Supervised):
    """The published U-Net with batch norm; sides of the image are multiples of 16."""

    multiple = 16

    def __init__(self, width: float = 1.0) -> None:
        from segmentation_models_pytorch.base.modules import Conv2dReLU
        from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

        super().__init__()
        channels = [scaled(c, width) for c in CHANNELS]
        self.encoder = nn.ModuleList()
        for inward, out in zip([3, *channels], channels, strict=False):
            level = (Conv2dReLU(inward, out, 3, padding=1), Conv2dReLU(out, out, 3, padding=1))
            self.encoder.append(nn.Sequential(*level))
        # The decoder ignores the first map of its list: in the library, that is the photo.
        self.decoder = UnetDecoder([3, *channels], channels[-2::-1], n_blocks=4)
        self.head = nn.Conv2d(channels[0], 1, kernel_size=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def outputs(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Logits ``(N, 1, H, W)``."""
        features, x = [image], image
        for level, convolutions in enumerate(self.encoder):
            x = functional.max_pool2d(x, 2) if level else x  # (N, C, H / 2^level, W / 2^level)
            x = convolutions(x)
            features.append(x)
        return [self.head(self.decoder(features))]  # (N, 1, H, W)


METHOD = Method(
    title="U-Net",
    strategy="general_supervised",
    build=UNet,
    parameters=31.03,
    source="Ronneberger et al. 2015, decoder of segmentation-models-pytorch; count of the published network",
    chosen=(
        "Convolutions are padded and followed by batch norm, which the published network does without.",
        "As in the library, a map is enlarged by repeating its pixels; the published network learns 2×2 "
        "transposed convolutions.",
        "yassouali/pytorch-segmentation has half the channels in the first convolution of each pair: 26.4 million.",
        "A smaller width narrows every level.",
    ),
)
