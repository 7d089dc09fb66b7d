"""The compared networks at full width and 256 px: minutes on a graphics card, hours on a CPU (`make test-full`)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from baselines_images import learning

from upcrack_lite.baselines.recipes import SUPERVISED, UNSUPERVISED
from upcrack_lite.baselines.registry import network as method
from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.images import to_tensor

pytestmark = [pytest.mark.full, pytest.mark.timeout(4 * 3600)]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIZE, STEPS = 256, 200


@pytest.fixture(scope="module")
def four() -> tuple[torch.Tensor, torch.Tensor]:
    """Four synthetic roads with wide cracks: images in [-1, 1], masks 0 and 1."""
    roads = [synthetic_road(SIZE, [5, i], crack_share=0.12, confounders=0) for i in range(4)]
    photos, crack_masks = (np.stack(one) for one in zip(*roads, strict=True))
    return to_tensor(photos).to(DEVICE), torch.from_numpy(crack_masks)[:, None].float().to(DEVICE)


def f1(network: torch.nn.Module, image: torch.Tensor, crack_mask: torch.Tensor) -> float:
    marked = network.score_map(image) > 0.5
    return 2 * float((marked & (crack_mask > 0)).sum()) / float(marked.sum() + crack_mask.sum())


@pytest.mark.parametrize("name", SUPERVISED)
def test_four_photos_are_learned_by_heart_at_full_size(name, four):
    torch.manual_seed(0)
    network = method(name).build(1.0).to(DEVICE).train()
    optimizer = torch.optim.Adam(network.parameters(), learning(name).full_rate)
    seen, best = [], 0.0
    for step in range(1, STEPS + 1):
        loss = network.loss(network(four[0]), four[1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
        if step % 20 == 0 and (best := max(best, f1(network, *four))) > 0.9:
            break
    assert best > 0.9, f"F1 {best:.3f} after {step} steps, loss {seen[0]:.3f} to {seen[-1]:.3f}"
    assert seen[-1] < seen[0] / 2


@pytest.mark.parametrize("name", UNSUPERVISED)
def test_a_few_steps_restore_better_at_full_size(name, four):
    torch.manual_seed(0)
    network = method(name).build(1.0).to(DEVICE).train()
    optimizer, generator, seen = network.optimizer(1e-4, 0.0), torch.Generator().manual_seed(0), []
    for _ in range(20):
        terms = network.losses(four[0], generator)
        optimizer.zero_grad()
        terms["total"].backward()
        optimizer.step()
        seen.append(terms[network.validated].item())
    assert np.mean(seen[-5:]) < np.mean(seen[:5])
    score = network.score_map(four[0][:1])
    assert score.shape == (1, 1, SIZE, SIZE)
    assert 0 <= score.min() <= score.max() <= 1
