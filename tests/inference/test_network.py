"""The copy of a network that `predict` computes: folded, cast, packed, close to float32, and apart from the model."""

from __future__ import annotations

import copy
import gc
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import unetzoo
from support.entries import different, narrow
from unetzoo import UnetzooError
from unetzoo.inference import network as networks
from unetzoo.inference.fold import fold_norms, watched
from unetzoo.inference.network import Computed, computed, resolved

CPU = torch.device("cpu")
# One of each kind of wiring: plain, valid, gated, recurrent (a convolution used twice), pre-activation, dropout between
# convolution and norm, instance norm, unpooling by indices, smp's and timm's blocks, attention, layer norm.
FEW = [
    *("unet", "unet_paper", "attention_unet", "r2unet", "resunet", "sa_unet", "nnunet_plain", "segnet"),
    *("smp_unet", "unet_resnet34", "swin_unet"),
]


@pytest.fixture(autouse=True)
def with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetzoo.machine.device.cpu_has_bfloat16", lambda: True)


def warmed(name: str, side: int = 64, **options: object) -> tuple[nn.Module, Tensor]:
    """Return a small entry whose running statistics have an effect, and an image."""
    torch.manual_seed(0)
    model = unetzoo.create_model(name, in_channels=3, num_classes=3, **{**narrow(name), **options}).train()
    images = torch.rand(2, 3, *[188 if getattr(model, "sizes", None) else side] * 2)
    with torch.no_grad():
        for _ in range(2):
            model(images)
    return model.eval(), images[:1]


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def check_entry(name: str) -> None:
    """All ways to compute an entry are near float32: copies in float32 to rounding, bfloat16 as near as autocast."""
    model, image = warmed(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.inference_mode():
        for wanted in ("float32", "bfloat16"):
            trial = networks._Trial(model, CPU, wanted, True)
            assert trial.measure_float32([lambda: image])
            found = {}
            for attempt in trial.attempts():
                try:
                    choice = trial.measured(attempt())
                except Exception:
                    continue
                found[choice.computed.method] = choice
            if wanted == "float32":
                logits = networks._values(found["copy"].copy, CPU, found["copy"].computed, True)(image)
                exact = model(image)
                assert (logits - exact).abs().max() <= 1e-4 * exact.std() + 1e-6
                assert found["copy"].largest < 1e-4
            else:
                assert found["copy"].computed.mean <= 3 * found["autocast"].computed.mean + 1e-3
    after = model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("name", FEW)
def test_copies_of_a_few_entries(name: str) -> None:
    check_entry(name)


@pytest.mark.nightly
@pytest.mark.parametrize("name", different(unetzoo.list_models()))
def test_copies_of_every_entry(name: str) -> None:
    check_entry(name)


@pytest.mark.parametrize(("name", "folded", "of"), [("unet", 18, 18), ("sa_unet", 14, 14), ("r2unet", 4, 22)])
def test_norms_that_are_folded(name: str, folded: int, of: int) -> None:
    """A norm that reads the output of a convolution used twice, or of anything else, stays."""
    model, image = warmed(name)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == of
    unetzoo.predict(model, image[0])
    found = computed(model)
    assert found.method == "copy"
    assert found.folded == folded


# --- folding ----------------------------------------------------------------------------------------------------


class Wired(nn.Module):
    """Layers in a row, of which any may be used again, and any output may be added at the end."""

    def __init__(self, layers: list[nn.Module], order: list[int], added: list[int]) -> None:
        super().__init__()
        self.layers, self.order, self.added = nn.ModuleList(layers), order, added

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for index in self.order:
            x = self.layers[index](x)
            kept.append(x)
        return x + sum(kept[i % len(kept)].square() for i in self.added)


def layer(kind: str) -> nn.Module:
    if kind == "norm":
        norm = nn.BatchNorm2d(2)
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
        nn.init.normal_(norm.weight)
        return norm
    made = {
        "conv": lambda: nn.Conv2d(2, 2, 3, padding=1, bias=False),
        "biased": lambda: nn.Conv2d(2, 2, 3, padding=1),
        "up": lambda: nn.ConvTranspose2d(2, 2, 3, padding=1),
        "relu": lambda: nn.ReLU(inplace=True),
        "same": lambda: nn.Identity(),
        "drop": lambda: nn.Dropout2d(),
    }
    return made[kind]()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["conv", "biased", "up", "norm", "norm", "relu", "same", "drop"]), min_size=1, max_size=6),
    st.lists(st.integers(0, 5), max_size=2),
    st.lists(st.integers(0, 5), max_size=2),
    st.booleans(),
)
def test_folding_changes_nothing_however_layers_are_wired(
    kinds: list[str], again: list[int], added: list[int], packed: bool
) -> None:
    torch.manual_seed(0)
    order = [*range(len(kinds)), *(i % len(kinds) for i in again)]
    model = Wired([layer(kind) for kind in kinds], order, added).eval()
    image = torch.rand(1, 2, 5, 6)
    with torch.inference_mode():
        exact = model(image)
        trial = networks._Trial(model, CPU, "float32", True)
        assert trial.measure_float32([lambda: image])
        copied = trial._copied(packed=packed).copy
        found = networks._values(copied, CPU, Computed("float32", "copy"), True)(image)
    torch.testing.assert_close(found, exact, atol=1e-4, rtol=1e-4)


def test_convolution_norm_and_activation_in_a_row_become_one() -> None:
    model = Wired([layer("biased"), layer("norm"), layer("relu")], [0, 1, 2], []).eval()
    with watched(model) as pairs:
        model(torch.rand(1, 2, 4, 4))
    folded, left = fold_norms(model, pairs)
    assert folded == 1
    assert [(type(pair.first), type(pair.then)) for pair in left] == [(nn.Conv2d, nn.ReLU)]
    for reread, expected in ((0, 1), (1, 2)):  # what the norm gave is what the ReLU gave, in place
        model = Wired([layer("biased"), layer("norm"), layer("relu")], [0, 1, 2], [reread]).eval()
        with watched(model) as pairs:
            model(torch.rand(1, 2, 4, 4))
        assert len(pairs) == expected


# --- the model is not changed, and the copy follows it -----------------------------------------------------------


def test_a_training_may_surround_predict() -> None:
    model, image = warmed("unet", depth=2)
    twin = copy.deepcopy(model)
    for each, predicts in ((model, True), (twin, False)):
        torch.manual_seed(1)
        optimizer = torch.optim.SGD(each.train().parameters(), lr=0.1)
        for _ in range(2):
            if predicts:
                unetzoo.predict(each, image[0])
            optimizer.zero_grad()
            each(image.repeat(2, 1, 1, 1)).square().mean().backward()
            optimizer.step()
        assert each.training
    for key, value in model.state_dict().items():
        assert torch.equal(value, twin.state_dict()[key]), key


@pytest.mark.parametrize("change", ["step", "data", "loaded", "statistics", "attribute", "head"])
def test_a_changed_model_is_copied_anew(change: str) -> None:
    model, _ = warmed("unet", depth=2)
    image = noise(3, 40, 40)
    first = unetzoo.predict(model, image, output="logits")
    assert np.array_equal(unetzoo.predict(model, image, output="logits"), first)
    with torch.no_grad():
        if change == "step":
            model.head.bias.add_(1)
        elif change == "data":
            model.head.bias.data.add_(1)
        elif change == "loaded":
            model.load_state_dict({k: v + 1 if k == "head.bias" else v for k, v in model.state_dict().items()})
        elif change == "statistics":
            next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d)).running_mean.add_(1)
        elif change == "attribute":
            next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d)).eps = 100.0
        else:
            model.head = nn.Conv2d(model.head.in_channels, 3, 1)
    assert np.abs(unetzoo.predict(model, image, output="logits") - first).max() > 0.01


def test_the_copy_goes_with_the_model() -> None:
    model, image = warmed("unet", depth=2)
    unetzoo.predict(model, image[0])
    kept = weakref.ref(networks._CHOSEN[model][1].copy)
    assert kept() is not None
    del model
    gc.collect()
    assert kept() is None


def test_a_model_with_hooks_is_not_copied() -> None:
    model, image = warmed("unet", depth=2)
    seen = []
    model.head.register_forward_hook(lambda module, given, found: seen.append(found.shape))
    unetzoo.predict(model, image[0])
    assert computed(model).method == "autocast"
    assert (1, 3, 64, 64) in seen


# --- what is chosen ---------------------------------------------------------------------------------------------


class Odd(nn.Module):
    """A network that refuses bfloat16, or is wrong in it by ``error``."""

    def __init__(self, refuses: bool = False, error: float = 0.0, copies: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.refuses, self.error, self.copies = refuses, error, copies

    def __deepcopy__(self, memo: dict) -> Odd:
        if not self.copies:
            raise RuntimeError("no copies of me")
        return copy._reconstruct(self, memo, *self.__reduce_ex__(4))  # type: ignore[attr-defined]

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if y.dtype == torch.bfloat16:
            if self.refuses:
                raise RuntimeError("not implemented for 'BFloat16'")
            y = y * (1 + self.error)
            y[:, 0] += self.error
        return y


def test_computed_says_what_was_chosen() -> None:
    model, image = warmed("unet", depth=2)
    assert computed(model) is None
    found = unetzoo.predict(model, image[0])
    said = computed(model)
    assert (said.precision, said.method, said.folded, said.sides) == ("bfloat16", "copy", 6, (64, 64))
    exact = unetzoo.predict(model, image[0], precision="float32")
    assert said.largest == pytest.approx(np.abs(found - exact).max(), abs=1e-7)
    assert said.mean == pytest.approx(np.abs(found - exact).mean(), abs=1e-7)
    assert str(said).startswith("bfloat16, 6 batch norms folded, probabilities within 0.00")
    assert str(computed(model)) == "float32"


def test_a_network_that_cannot_be_copied_is_computed_by_autocast() -> None:
    model = Odd(copies=False)
    unetzoo.predict(model, noise(20, 20))
    assert computed(model).method == "autocast"


def test_a_network_that_fails_in_bfloat16_is_computed_in_float32() -> None:
    model, image = Odd(refuses=True), noise(20, 20)
    exact = unetzoo.predict(model, image, precision="float32")
    assert np.array_equal(unetzoo.predict(model, image), exact)
    assert str(computed(model)) == "float32; bfloat16 fails (RuntimeError: not implemented for 'BFloat16')"
    with pytest.raises(UnetzooError, match=r"precision = 'bfloat16': Odd: bfloat16 fails .*; use 'float32' or 'auto'"):
        unetzoo.predict(model, image, precision="bfloat16")


def test_a_network_that_is_too_far_from_float32_is_computed_in_float32() -> None:
    model, image = Odd(error=3.0), noise(20, 20)
    exact = unetzoo.predict(model, image, precision="float32")
    assert np.array_equal(unetzoo.predict(model, image), exact)
    assert str(computed(model)).startswith("float32; bfloat16 changes probabilities by up to 0.")
    with pytest.warns(UserWarning, match=r"bfloat16 changes probabilities by up to 0\..*; 'float32' is exact"):
        rounded = unetzoo.predict(model, image, precision="bfloat16")
    assert np.abs(rounded - exact).max() > 0.1


def test_a_probe_too_small_for_the_network_gives_way_to_the_first_tile() -> None:
    class Large(Odd):
        def forward(self, x: Tensor) -> Tensor:
            if min(x.shape[-2:]) < 150:
                raise ValueError("too small")
            return super().forward(x)

    model = Large()
    unetzoo.predict(model, noise(300, 200), tile=160, overlap=0)
    assert computed(model).sides == (160, 160)
    with pytest.raises(ValueError, match="too small"):
        unetzoo.predict(model, noise(100, 100))


def test_float16_needs_a_gpu() -> None:
    with pytest.raises(UnetzooError, match="precision = 'float16' needs a device 'cuda', but this is 'cpu'"):
        unetzoo.predict(Odd(), noise(20, 20), precision="float16")


@pytest.mark.parametrize(
    ("bfloat16", "capability", "expected"),
    [(True, (9, 0), "bfloat16"), (False, (7, 5), "float16"), (False, (6, 1), "float32")],
)
def test_the_fastest_of_a_gpu(monkeypatch, bfloat16: bool, capability: tuple[int, int], expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolved("auto", "cuda") == expected


def test_a_cpu_without_bfloat16_computes_a_folded_copy_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetzoo.machine.device.cpu_has_bfloat16", lambda: False)
    model, image = warmed("unet", depth=2)
    found = unetzoo.predict(model, image[0])
    assert str(computed(model)) == "float32, 6 batch norms folded"
    np.testing.assert_allclose(found, unetzoo.predict(model, image[0], precision="float32"), atol=1e-5)
