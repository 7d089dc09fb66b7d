"""SegResNet: `segresnet` in the tables, which cite SegNet (Badrinarayanan et al. 2017, reference 35) for it.

SegNet's idea on a ResNet-50: the decoder mirrors the encoder stage by stage, with no skip connections, and where the
encoder pooled, the decoder puts values back at the pixels that won. SegNet itself has VGG-16; the name SegResNet is
that of a class in yassouali/pytorch-segmentation, whose structure this follows. MONAI's SegResNet is another network.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from upcrack_lite.baselines.base import Method, Supervised
from upcrack_lite.baselines.blocks import conv_bn, resnet_channels, unpool

STEM = 64  # channels of ResNet's first convolution, at every width
EXPANSION = 4  # a bottleneck gives four times its inner channels


class Change(nn.Module):
    """A bottleneck that changes the number of channels and, with `enlarge`, doubles the size.

    Main path: 1×1, then 2×2 transposed (or 3×3, without `enlarge`), then 1×1, each with batch norm. The other path
    brings the input to the same shape; both are added.
    """

    def __init__(self, inward: int, out: int, enlarge: bool) -> None:
        super().__init__()
        inner = inward // EXPANSION
        if enlarge:
            spatial: nn.Module = nn.ConvTranspose2d(inner, inner, 2, stride=2, bias=False)
            other: nn.Module = nn.ConvTranspose2d(inward, out, 2, stride=2, bias=False)
        else:
            spatial = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
            other = nn.Conv2d(inward, out, 1, bias=False)
        self.main = nn.Sequential(
            *conv_bn(inward, inner, 1),
            spatial,
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            *conv_bn(inner, out, 1, relu=False),
        )
        self.other = nn.Sequential(other, nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, inward, H, W)`` to ``(N, out, H, W)``, or ``(N, out, 2 H, 2 W)``."""
        return functional.relu(self.main(x) + self.other(x))


class SegResNet(Supervised):
    """ResNet-50 and its mirror image; sides of the image are multiples of 32."""

    def __init__(self, width: float = 1.0) -> None:
        import timm
        from timm.models.resnet import Bottleneck

        super().__init__()
        channels = resnet_channels(width)  # inner ones of the four stages
        self.encoder = timm.create_model("resnet50", pretrained=False, channels=channels, num_classes=0)
        self.decoder = nn.Sequential()
        for level in (3, 2, 1, 0):
            wide = channels[level] * EXPANSION
            # Its blocks except the one that changes the size.
            alike = len(getattr(self.encoder, f"layer{level + 1}")) - 1
            self.decoder.extend(Bottleneck(wide, channels[level]) for _ in range(alike))
            out = channels[level - 1] * EXPANSION if level else STEM
            self.decoder.append(Change(wide, out, enlarge=level > 0))
        self.head = nn.Sequential(
            nn.ConvTranspose2d(STEM, STEM, 2, stride=2, bias=False),
            nn.Conv2d(STEM, 1, 3, padding=1),
        )

    def outputs(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Logits ``(N, 1, H, W)``."""
        encoder = self.encoder
        x = encoder.act1(encoder.bn1(encoder.conv1(image)))  # (N, 64, H / 2, W / 2)
        x, winners = functional.max_pool2d(x, 2, return_indices=True)  # (N, 64, H / 4, W / 4), twice
        for level in range(1, 5):
            x = getattr(encoder, f"layer{level}")(x)  # at last (N, 2048, H / 32, W / 32)
        x = self.decoder(x)  # (N, 64, H / 4, W / 4)
        x = unpool(x, winners)  # (N, 64, H / 2, W / 2)
        return [self.head(x)]  # (N, 1, H, W)


METHOD = Method(
    title="SegResNet",
    strategy="general_supervised",
    build=SegResNet,
    parameters=53.55,
    encoder="resnet50",
    source="written by the kit on timm's ResNet-50; count of yassouali/pytorch-segmentation",
    chosen=(
        "The paper cites SegNet for this row but calls it SegResNet; the kit takes SegNet's mirror on a ResNet-50.",
        "The first pooling has windows of 2×2 as SegNet's, where ResNet's are 3×3 and overlap: so no two windows "
        "put a value at one pixel.",
        "Only the first pooling leaves indices; the later stages of a ResNet shrink by strided convolutions, which "
        "the mirror answers with transposed ones.",
        "A smaller width narrows ResNet's stages and their mirror; the 64 channels at 1/2 stay.",
    ),
)
