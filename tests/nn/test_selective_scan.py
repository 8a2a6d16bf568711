"""The selective scan equals the plain recurrence, whatever its chunk; its gradients, its memory, its CUDA kernel."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from unetzoo import UnetzooError
from unetzoo.nn import state_space
from unetzoo.nn.state_space import Mamba, cuda_kernel, initial_step_bias, selective_scan

N, GROUPS, CHANNELS, STATES = 2, 3, 4, 5


def inputs(length: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)

    sequence = (N, GROUPS, length)
    return (
        draw(*sequence, CHANNELS),
        F.softplus(draw(*sequence, CHANNELS)),
        -draw(GROUPS, CHANNELS, STATES).exp(),
        draw(*sequence, STATES),
        draw(*sequence, STATES),
        draw(GROUPS, CHANNELS),
    )


def recurrence(x: Tensor, step: Tensor, rate: Tensor, write: Tensor, read: Tensor, through: Tensor) -> Tensor:
    """Compute the scan token by token, as its definition says."""
    state, results = torch.zeros(N, GROUPS, CHANNELS, STATES, dtype=x.dtype), []
    for t in range(x.shape[2]):
        state = torch.exp(step[:, :, t, :, None] * rate) * state
        state = state + step[:, :, t, :, None] * x[:, :, t, :, None] * write[:, :, t, None]
        results.append((state * read[:, :, t, None]).sum(-1) + through * x[:, :, t])
    return torch.stack(results, dim=2)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 90), st.integers(1, 100), st.integers(0, 99))
def test_it_is_the_recurrence(length: int, chunk: int, seed: int) -> None:
    given = inputs(length, seed=seed)
    torch.testing.assert_close(selective_scan(*given, chunk=chunk), recurrence(*given), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("chunk", [5, 64])
def test_its_gradients_are_those_of_the_recurrence(chunk: int) -> None:
    given = [t.requires_grad_() for t in inputs(19)]
    weights = torch.randn(N, GROUPS, 19, CHANNELS, dtype=torch.float64)
    found = torch.autograd.grad((selective_scan(*given, chunk=chunk) * weights).sum(), given)
    wanted = torch.autograd.grad((recurrence(*given) * weights).sum(), given)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


def test_gradcheck() -> None:
    given = [t[:1].clone().requires_grad_() if t.ndim == 4 else t.requires_grad_() for t in inputs(18)]
    assert torch.autograd.gradcheck(lambda *t: selective_scan(*t, chunk=7), given, fast_mode=True)


def test_long_sequences_with_fast_decay_stay_finite() -> None:
    x, step, rate, write, read, through = inputs(5000, torch.float32)
    y = selective_scan(x, 50 * step, 50 * rate, write, read, through)
    assert y.isfinite().all()


def test_low_precision_is_scanned_in_float32() -> None:
    given = inputs(40, torch.bfloat16)
    y = selective_scan(*given)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, selective_scan(*(t.float() for t in given)).bfloat16())


def saved_bytes(chunk: int, length: int = 1024) -> int:
    """Return the bytes that the forward pass keeps for the backward pass, inputs included."""
    sizes: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        sizes[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    given = [t.requires_grad_() for t in inputs(length, torch.float32)]
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        selective_scan(*given, chunk=chunk)
    return sum(sizes.values())


def test_the_chunk_bounds_memory() -> None:
    """A scan in one piece keeps several numbers for each token, channel and state, in chunks only its inputs."""
    states = 4 * N * GROUPS * 1024 * CHANNELS * STATES
    assert saved_bytes(1024) > 4 * states
    assert saved_bytes(64) < 1.5 * states


@pytest.mark.parametrize("chunk", [0, -1, 2.5, True, "64"])
def test_a_chunk_that_is_none_is_refused(chunk: object) -> None:
    for call in (lambda: selective_scan(*inputs(3), chunk=chunk), lambda: Mamba(4, chunk=chunk)):  # type: ignore[arg-type]
        with pytest.raises(UnetzooError, match=r"option chunk = .*: must be a whole number of tokens of at least 1"):
            call()


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Put a module in the place of mamba_ssm's interface; scans forget which kernel they found."""
    module = ModuleType("mamba_ssm.ops.selective_scan_interface")
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    cuda_kernel.cache_clear()
    yield module
    cuda_kernel.cache_clear()


def test_without_mamba_ssm_there_is_no_kernel_and_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {name!r}", name="mamba_ssm")

    monkeypatch.setattr(state_space.importlib, "import_module", missing)
    cuda_kernel.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cuda_kernel() is None
    cuda_kernel.cache_clear()


def test_a_broken_mamba_ssm_is_named_once(kernels: ModuleType) -> None:
    with pytest.warns(
        UserWarning, match="mamba_ssm is installed but does not work .*; scans use torch alone"
    ) as caught:
        assert [cuda_kernel(), cuda_kernel()] == [None, None]
    assert len(caught) == 1


def test_the_kernel_gets_what_it_expects(kernels: ModuleType) -> None:
    """As mamba_ssm documents it: u, delta (B, D, L); A (D, N); B, C (B, G, N, L), each of D / G channels; D (D)."""

    def documented(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
        B, C = (t.repeat_interleave(len(A) // t.shape[1], dim=1) for t in (B, C))
        state, results = torch.zeros(len(u), *A.shape, dtype=u.dtype), []
        for t in range(u.shape[2]):
            state = torch.exp(delta[:, :, t, None] * A) * state + (delta * u)[:, :, t, None] * B[..., t]
            results.append((state * C[..., t]).sum(-1))
        return torch.stack(results, dim=2) + u * D[:, None]

    kernels.selective_scan_fn = documented  # type: ignore[attr-defined]
    assert cuda_kernel() is documented
    given = inputs(11)
    torch.testing.assert_close(state_space._by_kernel(documented, *given), recurrence(*given))


def test_initial_steps_lie_between_a_thousandth_and_a_tenth() -> None:
    torch.manual_seed(0)
    steps = F.softplus(initial_step_bias(10_000))
    assert 0.00099 < float(steps.min()) < 0.0011
    assert 0.09 < float(steps.max()) < 0.101


def test_a_token_sees_no_later_one() -> None:
    torch.manual_seed(0)
    block, tokens = Mamba(6, chunk=3).double(), torch.randn(1, 10, 6, dtype=torch.float64)
    changed = tokens.clone()
    changed[:, 7] += 1
    before, after = block(tokens), block(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.isclose(before[:, 7:], after[:, 7:]).all(dim=-1).any()
