"""The compared networks BiSeNetV2, DDRNet, Lawin, Deepcrack19 and 18, and the restoring ones SCADN and RIAD."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from upcrack_lite import masks
from upcrack_lite.methods import base, bisenetv2, ddrnet, deepcrack18, deepcrack19, lawin, riad, scadn
from upcrack_lite.roads.synthetic import synthetic_road
from upcrack_lite.tensors import to_tensor

SUPERVISED = {
    module.METHOD.name: module.METHOD for module in (bisenetv2, ddrnet, lawin, deepcrack19, deepcrack18)
}
RESTORERS = {module.METHOD.name: module.METHOD for module in (scadn, riad)}
ALL = {**SUPERVISED, **RESTORERS}
OUTPUTS = {"bisenetv2": 5, "ddrnet": 2, "lawin": 1, "deepcrack19": 6, "deepcrack18": 6}
GMAC = {  # at 256 x 256, from each method's source
    "ddrnet": 1.22,
    "lawin": 9.9,
    "deepcrack19": 20.1,
    "deepcrack18": 136.8,
    "riad": 54.6,
    "scadn": 60.9,
}
LEARNING = {  # width and learning rate with which four photos are learned by heart
    "bisenetv2": (0.125, 3e-3),
    "ddrnet": (0.25, 3e-3),
    "lawin": (0.125, 2e-3),
    "deepcrack19": (0.125, 1e-2),
    "deepcrack18": (0.125, 1e-3),
}


def each(methods):
    return pytest.mark.parametrize("name", methods)


def built(name, width=0.25, seed=0):
    torch.manual_seed(seed)
    return ALL[name].build(width)


def parameters(network):
    return sum(p.numel() for p in network.parameters()) / 1e6


def on_meta(build, *args, **more):
    with torch.device("meta"):
        return build(*args, **more)


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def close_ups():
    """Four close-ups of cracks wide enough for a network that answers at an eighth of the size; masks too."""

    def close_up(seed, size=64, side=1024):
        road, crack_mask = synthetic_road(side, seed, crack_share=0.08, confounders=0.0)
        corners = [(i, j) for i in range(0, side - size, 32) for j in range(0, side - size, 32)]
        i, j = min(corners, key=lambda c: abs(crack_mask[c[0] :, c[1] :][:size, :size].mean() - 0.35))
        return road[i : i + size, j : j + size], crack_mask[i : i + size, j : j + size]

    roads, crack_masks = zip(*(close_up(seed) for seed in range(4)), strict=True)
    return to_tensor(np.stack(roads)), torch.from_numpy(np.stack(crack_masks))[:, None].float()


def pooled_f1(network, images, crack_masks):
    network.eval()
    with torch.no_grad():
        found = network(images) > 0
    wanted = crack_masks > 0.5
    return float(2 * (found & wanted).sum() / (found.sum() + wanted.sum()))


@each(ALL)
def test_parameters_at_full_width_are_those_of_the_source(name):
    method = ALL[name]
    assert parameters(on_meta(method.build, 1.0)) == pytest.approx(method.parameters, rel=method.tolerance)


def test_sizes_that_sources_state_for_other_choices():
    assert parameters(on_meta(bisenetv2.BiSeNetV2, classes=19)) == pytest.approx(27.7, rel=0.005)
    assert parameters(on_meta(lawin.Lawin, 0.5)) == pytest.approx(4.93, rel=0.005)  # with the encoder MiT-B0
    both = on_meta(scadn.Scadn)
    assert parameters(both.generator) == pytest.approx(42.08, rel=0.001)
    assert parameters(both.discriminator) == pytest.approx(2.76, rel=0.002)


@each(GMAC)
def test_multiply_adds_are_those_of_the_source(name):
    from torch.utils.flop_counter import FlopCounterMode

    network = on_meta(ALL[name].build, 1.0).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, 256, 256, device="meta"))
    # The counter leaves out norms and interpolations, which weigh most in the lightest network.
    assert counter.get_total_flops() / 2e9 == pytest.approx(
        GMAC[name], rel=0.08 if name == "ddrnet" else 0.01
    )


@each(SUPERVISED)
def test_logits_have_the_size_of_the_photo(name):
    network = built(name).eval()
    for height, width in ((256, 256), (123, 181)):
        with torch.no_grad():
            logits = network(noise(1, 3, height, width))
        assert logits.shape == (1, 1, height, width)
        assert logits.isfinite().all()


@each(SUPERVISED)
def test_in_training_all_outputs_come_and_the_loss_reaches_every_parameter(name):
    network = built(name, 0.125).train()
    outputs = network(noise(2, 3, 70, 64))
    assert [one.shape for one in outputs] == [(2, 1, 70, 64)] * OUTPUTS[name]
    network.loss(outputs, (noise(2, 1, 70, 64, seed=1) > 0.8).float()).backward()
    idle = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not idle


@each(SUPERVISED)
def test_the_first_output_is_the_one_that_is_shown(name):
    network = built(name, 0.125)
    for module in network.modules():  # training and testing differ in more than the number of outputs
        if isinstance(module, torch.nn.BatchNorm2d):
            module.track_running_stats = False
            module.running_mean = module.running_var = None
        elif "Drop" in type(module).__name__ or "Stochastic" in type(module).__name__:
            module.p = 0.0
    image = noise(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network.train()(image)[0], network.eval()(image))


@pytest.mark.slow
@each(SUPERVISED)
def test_four_photos_are_learned_by_heart(name, close_ups):
    width, rate = LEARNING[name]
    network = built(name, width)
    optimizer = torch.optim.Adam(network.parameters(), rate)
    seen, reached = [], 0.0
    for step in range(1, 201):
        network.train()
        loss = network.loss(network(close_ups[0]), close_ups[1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
        if step % 20 == 0 and (reached := pooled_f1(network, *close_ups)) > 0.9:
            break
    assert reached > 0.9, f"F1 {reached:.3f} after {step} steps"
    assert seen[-1] < seen[0] / 2


def test_an_eighth_of_the_size_is_too_coarse_for_thin_cracks():
    """Why DDRNet learns close-ups here: of thin cracks, no 8 x 8 logits enlarged to 64 x 64 can show more."""
    crack_mask = torch.from_numpy(synthetic_road(64, 0, crack_share=0.1, confounders=0.0)[1])[
        None, None
    ].float()
    coarse = torch.zeros(1, 1, 8, 8, requires_grad=True)
    optimizer = torch.optim.Adam([coarse], 0.3)
    for _ in range(150):
        logits = base.up_to(coarse, crack_mask)
        loss = functional.binary_cross_entropy_with_logits(logits, crack_mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert pooled_f1(torch.nn.Identity(), logits.detach(), crack_mask) < 0.7


@each(ALL)
def test_saved_and_loaded_weights_give_the_same_output(name, tmp_path):
    first, second = built(name, 0.125).eval(), built(name, 0.125, seed=1).eval()
    image = noise(1, 3, 64, 64)
    with torch.no_grad():
        assert not torch.equal(first(image), second(image))
        torch.save(first.state_dict(), tmp_path / "weights.pt")
        second.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
        assert torch.equal(first(image), second(image))


def one_step_in_bf16(name, device):
    network = built(name, 0.125).to(device).train()
    image = noise(2, 3, 64, 64).to(device)
    with torch.autocast(device, torch.bfloat16):
        if name in SUPERVISED:
            loss = network.loss(network(image), (image[:, :1] > 0.8).float())
        else:
            loss = network.losses(image, torch.Generator().manual_seed(0))["total"]
    loss.backward()
    torch.optim.SGD(network.parameters(), 1e-3).step()
    assert loss.isfinite()
    assert all(p.isfinite().all() for p in network.parameters())


@each(ALL)
def test_a_step_in_bf16_is_finite(name):
    one_step_in_bf16(name, "cpu")


@pytest.mark.gpu
@each(ALL)
def test_a_step_in_bf16_is_finite_on_a_gpu(name):
    if not torch.cuda.is_available():
        pytest.skip("NOT TESTED on a GPU: this machine has none")
    one_step_in_bf16(name, "cuda")
    image = noise(1, 3, 64, 64)
    network = built(name, 0.125).eval()
    find = network if name in SUPERVISED else network.score_map
    with torch.no_grad():
        wanted = find(image)
        network.cuda()
        torch.testing.assert_close(find(image.cuda()).cpu(), wanted, atol=2e-2, rtol=2e-2)  # TF32


def test_bisenetv2_counts_each_guiding_head_as_much_as_the_first():
    network = bisenetv2.BiSeNetV2(0.125)
    outputs, crack_mask = list(noise(5, 2, 1, 8, 8)), (noise(2, 1, 8, 8) > 0).float()
    apart = [functional.binary_cross_entropy_with_logits(one, crack_mask) for one in outputs]
    torch.testing.assert_close(network.loss(outputs, crack_mask), sum(apart))


@pytest.mark.parametrize("ratio", lawin.RATIOS)
def test_lawin_answers_as_one_window_after_another_would(ratio):
    """The module pools the map once and cuts afterwards; here each context is cut first, then pooled and asked."""
    size, n, channels = lawin.WINDOW, 2, 128
    torch.manual_seed(0)
    one = lawin.WindowAttention(channels, ratio).eval()
    torch.nn.init.normal_(one.mixing, std=0.1)
    torch.nn.init.normal_(one.mixing_bias, std=0.1)
    x = noise(1, channels, size * n, size * n)
    around = functional.pad(x, (size * (ratio - 1) // 2,) * 4)
    wanted = torch.empty_like(x)
    with torch.no_grad():
        for i in range(n):
            for j in range(n):
                context = around[..., i * size :, j * size :][..., : ratio * size, : ratio * size]
                pooled = (functional.max_pool2d(context, ratio) + functional.avg_pool2d(context, ratio)) / 2
                context = one.norm(pooled).reshape(channels, -1)  # (C, 64)
                parts = [
                    part + part @ matrix.T + bias[:, 0]
                    for part, matrix, bias in zip(
                        context.chunk(one.heads), one.mixing, one.mixing_bias, strict=True
                    )
                ]
                key, value = one.answer(torch.cat(parts).reshape(1, channels, size, size))[0].chunk(2)
                window = x[..., i * size : (i + 1) * size, j * size : (j + 1) * size]
                found = []
                for q, k, v in zip(
                    *(part.flatten(1).chunk(one.heads) for part in (one.ask(window)[0], key, value)),
                    strict=True,
                ):
                    share = (q.T @ k / len(q) ** 0.5).softmax(
                        dim=1
                    )  # (64, 64): of each position for each pixel
                    found.append(v @ share.T)
                answer = window + one.leave(torch.cat(found).reshape(1, -1, size, size))
                wanted[..., i * size : (i + 1) * size, j * size : (j + 1) * size] = answer
        torch.testing.assert_close(one(x), wanted, atol=1e-5, rtol=1e-4)


def test_lawin_windows_look_no_farther_than_their_context():
    one = lawin.WindowAttention(128, 2).eval()
    torch.manual_seed(0)
    torch.nn.init.normal_(one.mixing, std=0.1)
    x = noise(1, 128, 32, 32)
    far, near = x.clone(), x.clone()
    far[..., 28:, 28:] += 1  # the first window of 8 x 8 sees 12 rows and columns at this ratio
    near[..., 10:12, 10:12] += 1
    with torch.no_grad():
        first, second, third = (one(y)[..., :8, :8] for y in (x, far, near))
    torch.testing.assert_close(second, first)
    assert not torch.allclose(third, first)


def test_deepcrack19_weighs_as_two_classes_under_softmax_do():
    network = deepcrack19.DeepCrack19(0.125)
    two = noise(6, 2, 2, 8, 8) * 3  # road and crack logits
    crack_mask = (noise(2, 1, 8, 8, seed=1) > 0.5).float()
    terms = [functional.cross_entropy(one, crack_mask[:, 0].long(), torch.tensor([0.03, 1.0])) for one in two]
    wanted = sum(a * term for a, term in zip((1, 0.5, 0.75, 1, 0.75, 0.5), terms, strict=True))
    one_logit = [one[:, 1:] - one[:, :1] for one in two]
    torch.testing.assert_close(network.loss(one_logit, crack_mask), wanted)


def test_unpooling_puts_values_where_the_library_puts_them():
    x = noise(2, 3, 8, 12)
    small, where = functional.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(deepcrack18.unpool(small, where), functional.max_unpool2d(small, where, 2))


@each(RESTORERS)
def test_restored_images_and_scores_have_the_size_and_range_of_photos(name):
    network = built(name)
    with torch.no_grad():
        restored = network.restore(noise(2, 3, 64, 96))
        scores = network.score_map(noise(2, 3, 61, 91))
    assert restored.shape == (2, 3, 64, 96)
    assert restored.abs().max() <= 1
    assert scores.shape == (2, 1, 61, 91)
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert network.training  # as it was found


@each(RESTORERS)
def test_a_score_map_can_be_repeated_and_does_not_change_the_network(name):
    network = built(name, 0.125)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    image = noise(1, 3, 64, 64)
    assert torch.equal(network.score_map(image), network.score_map(image))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_riad_restores_each_pixel_without_having_seen_it():
    class Copy(riad.Riad):
        def restore(self, masked, mask=None):
            return masked

    found = Copy(0.125).all_restored(noise(1, 3, 64, 64), 8, torch.Generator().manual_seed(0))
    assert (found == riad.HOLE).all()


def test_scadn_errors_are_those_in_the_holes():
    class White(scadn.Scadn):
        def restore(self, masked, mask=None):
            return masked

    image = noise(1, 3, 64, 64)
    errors = White(0.125).errors(image)
    # Every pixel is a hole of some mask of each width, and there the masked image is white.
    wanted = ((1 - scadn.unit(image)) ** 2).mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    torch.testing.assert_close(errors, wanted)


def test_scadn_chooses_the_width_that_stands_out_from_its_usual_error():
    network = built("scadn", 0.125).eval()
    image = noise(2, 3, 64, 64)
    with torch.no_grad():
        errors = network.errors(image)
        network.calibrate([image])
        torch.testing.assert_close(network.usual, errors.mean(dim=(0, 2, 3)))
        for width in range(scadn.WIDTHS):
            network.usual.fill_(1.0)
            network.usual[width] = 0.0
            torch.testing.assert_close(network.score_map(image), errors[:, width : width + 1].sqrt())
    assert "usual" in network.state_dict()


def test_scadn_gives_each_network_its_own_gradients():
    network = built("scadn", 0.125)
    image = noise(2, 3, 64, 64)
    kept = masks.striped(2, 64, torch.Generator().manual_seed(0))
    terms = network.losses(image, torch.Generator().manual_seed(0))
    judge, restorer = list(network.discriminator.parameters()), list(network.generator.parameters())
    gradients = torch.autograd.grad(terms["total"], judge + restorer, retain_graph=True)
    alone = torch.autograd.grad(terms["discriminator"], judge, retain_graph=True)
    torch.testing.assert_close(gradients[: len(judge)], alone)
    assert torch.autograd.grad(terms["discriminator"], restorer, retain_graph=True, allow_unused=True) == (
        (None,) * len(restorer)
    )
    assert torch.autograd.grad(terms["adversarial"], restorer, retain_graph=True)[0].abs().sum() > 0
    with torch.no_grad():
        squared = ((network.restore(masks.apply(image, kept, 1.0)) - image) / 2) ** 2
    wanted = ((squared * kept).mean() + 4 * (squared * (1 - kept)).mean()) / 0.5
    torch.testing.assert_close(terms["mse"].detach(), wanted)
    groups = network.optimizer().param_groups
    assert [group["lr"] for group in groups] == [1e-4, 1e-5]
    assert [len(group["params"]) for group in groups] == [len(restorer), len(judge)]


def dark_line():
    """Four undamaged synthetic crops of 64 px, and one of them with a dark line of 3 px."""
    roads = np.stack(
        [synthetic_road(64, seed, "concrete", crack=False, confounders=0.0)[0] for seed in range(4)]
    )
    image = to_tensor(roads)
    damaged, line = image[:1].clone(), torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    line[..., 30:33] = True
    return image, torch.where(line, -0.9, damaged), line


@pytest.mark.slow
@each(RESTORERS)
def test_a_short_training_lowers_the_loss_and_a_dark_line_stands_out(name):
    image, damaged, line = dark_line()
    network, generator = built(name, 0.125), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    seen = []
    for _ in range(60):
        network.train()
        terms = network.losses(image, generator)
        optimizer.zero_grad()
        terms["total"].backward()
        optimizer.step()
        seen.append(terms["mse" if name == "scadn" else "total"].item())
    assert np.mean(seen[-10:]) < {"scadn": 0.4, "riad": 0.8}[name] * np.mean(seen[:10])
    if name == "scadn":
        network.calibrate([image])
    scores = network.score_map(damaged)
    scores = scores**2 if name == "scadn" else scores
    beside = functional.max_pool2d(line.float(), (1, 23), 1, (0, 11)) < 0.5  # farther away than the smoothing
    # Untrained, the line stands out too: 13 times in the square of SCADN's map, 1.8 times in RIAD's, of edges.
    assert scores[line].mean() > {"scadn": 30, "riad": 1.4}[name] * scores[beside].mean()
