"""PSPNet (Zhao et al. 2017): `pspnet` in the tables.

A ResNet whose last two stages are dilated sees the photo at 1/8. Its map is averaged over 1×1, 2×2, 3×3 and 6×6
fields, each mean is enlarged again, and all are joined with the map itself. A second output, from the stage before
the last, is trained too, at 0.4 of the main loss. Encoder and pyramid are the library's; the 3×3 convolution behind
the pyramid and the second output are added here, because the library has neither.
"""

from __future__ import annotations

import torch
from torch import nn

from upcrack_lite.baselines.base import Method
from upcrack_lite.baselines.blocks import FromLibrary, resnet_channels, scaled, up_to

AFTER_PYRAMID = 512  # channels
SIDE = 256  # inner channels of the second output
DROPOUT = 0.1


class PSPNet(FromLibrary):
    """The library's network with a ResNet-50 encoder at 1/8; sides of the image are multiples of 8."""

    multiple = 8

    def __init__(self, width: float = 1.0) -> None:
        import segmentation_models_pytorch as smp
        from segmentation_models_pytorch.base.modules import Conv2dReLU

        after, side = scaled(AFTER_PYRAMID, width), scaled(SIDE, width)
        super().__init__(
            smp.PSPNet(
                "tu-resnet50",
                encoder_weights=None,
                encoder_depth=5,  # the library's own default of 3 cuts the ResNet in two
                output_stride=8,
                psp_out_channels=after,
                psp_dropout=DROPOUT,
                upsampling=8,
                channels=resnet_channels(width),
            )
        )
        *_, before_last, last = self.net.encoder.out_channels
        self.net.decoder.conv = Conv2dReLU(2 * last, after, kernel_size=3, padding=1)
        self.side = nn.Sequential(
            Conv2dReLU(before_last, side, kernel_size=3, padding=1),
            nn.Dropout2d(DROPOUT),
            nn.Conv2d(side, 1, kernel_size=1),
        )
        for added in (self.net.decoder.conv[0], self.side[0][0]):
            nn.init.kaiming_normal_(added.weight, nonlinearity="relu")

    def outputs(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Logits ``(N, 1, H, W)`` and, in training mode, those of the second output."""
        features = self.net.encoder(image)  # (N, C, H / s, W / s) with s = 1, 2, 4, 8, 8, 8
        decoded = self.net.decoder(features)  # (N, 512, H / 8, W / 8)
        outputs = [self.net.segmentation_head(decoded)]  # (N, 1, H, W)
        if self.training:
            outputs.append(up_to(self.side(features[-2]), image))  # (N, 1, H, W)
        return outputs


METHOD = Method(
    title="PSPNet",
    strategy="general_supervised",
    build=PSPNet,
    parameters=51.43,
    encoder="resnet50",
    source="segmentation-models-pytorch; count of yassouali/pytorch-segmentation with ResNet-50",
    chosen=(
        "The paper names no encoder; the kit takes ResNet-50, whole and at 1/8, where that source's default is "
        "ResNet-152.",
        "The first convolution is one of 7×7, where the source has three of 3×3.",
        "As in the library, the logits come from a 3×3 convolution, and the 1×1 field has no batch norm.",
        "A smaller width narrows ResNet's stages; its first convolution keeps 64 channels.",
    ),
)
