"""Selective state spaces on torch alone: the scan, and Mamba's block of it.

References:
    Gu & Dao 2023, Mamba: Linear-Time Sequence Modeling with Selective State Spaces, arXiv 2312.00752.
"""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from unetzoo.errors import UnetzooError, one_line
from unetzoo.nn.blocks import exporting

CHUNK = 256  # tokens of which all states are in memory at once
BLOCK = 16  # tokens of a chunk that are scanned one after the other, beside all other blocks
EXPORTED = 16  # doublings in a graph with free sizes, which holds for up to BLOCK * 2**EXPORTED = 1,048,576 tokens
FASTEST, SLOWEST, LEAST = 0.1, 0.001, 1e-4  # initial step sizes, and the least of them


def selective_scan(
    x: Tensor, step: Tensor, rate: Tensor, write: Tensor, read: Tensor, through: Tensor, *, chunk: int = CHUNK
) -> Tensor:
    """Scan sequences with S states for each channel, whose dynamics depend on the token.

    Token t changes the states h of a channel by h = exp(step * rate) * h + step * x * write, starting from 0, and gives
    the sum of read * h over the states, plus through * x. It is computed in float32, or in float64 if ``x`` is.

    The tokens are taken ``chunk`` at a time. Beyond inputs and output this needs room for about 8 * N * G * chunk * D *
    S numbers, and in the backward pass, which computes each chunk again, for three times as many. On CUDA the kernel of
    ``mamba_ssm`` is used if that is installed and works.

    Args:
        x: Values, (N, G, L, D), with G groups of channels that share ``write`` and ``read``.
        step: Positive step sizes, (N, G, L, D).
        rate: Negative rates, (G, D, S).
        write: Weights of the values in the states, (N, G, L, S).
        read: Weights of the states in the result, (N, G, L, S).
        through: Weights of the values in the result, (G, D).
        chunk: Tokens of which all states are in memory at once.

    Returns:
        The result, (N, G, L, D), in the dtype of ``x``.

    Raises:
        UnetzooError: If ``chunk`` is not a whole number of at least 1.
    """
    check_chunk(chunk)
    dtype = torch.promote_types(x.dtype, torch.float32)
    x_, step, rate, write, read, through = (t.to(dtype) for t in (x, step, rate, write, read, through))
    if x.is_cuda and dtype == torch.float32 and not exporting() and (kernel := cuda_kernel()) is not None:
        return _by_kernel(kernel, x_, step, rate, write, read, through).to(x.dtype)
    state = x_.new_zeros(x_.shape[0], *rate.shape)
    if exporting():
        y, _ = _scan(x_, step, rate, write, read, state)
    else:
        several = x_.shape[2] > chunk and torch.is_grad_enabled()
        parts = []
        for inputs in zip(*(t.split(chunk, dim=2) for t in (x_, step, write, read)), strict=True):
            arguments = (inputs[0], inputs[1], rate, inputs[2], inputs[3], state)
            if several:
                y, state = checkpoint(_scan, *arguments, use_reentrant=False, preserve_rng_state=False)
            else:
                y, state = _scan(*arguments)
            parts.append(y)
        y = torch.cat(parts, dim=2)
    return (y + x_ * through[:, None]).to(x.dtype)


def check_chunk(chunk: int) -> None:
    """Check the number of tokens that `selective_scan` takes at a time.

    Raises:
        UnetzooError: If it is not a whole number of at least 1.
    """
    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise UnetzooError(f"option chunk = {chunk!r}: must be a whole number of tokens of at least 1")


def _scan(x: Tensor, step: Tensor, rate: Tensor, write: Tensor, read: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Scan one chunk from ``state`` (N, G, D, S) on; return the result without ``through``, and the last state.

    Blocks of tokens are scanned side by side from a state of 0; then each block's first state is found, and its decayed
    remainder added. Products of decays are at most 1, so nothing overflows.
    """
    length = x.shape[2]
    blocks = (length + BLOCK - 1) // BLOCK
    missing = blocks * BLOCK - length
    if missing or exporting():  # tokens of step 0 change no state
        x, step, write, read = (F.pad(t, (0, 0, 0, missing)) for t in (x, step, write, read))
    step, fed, write, read = (t.unflatten(2, (blocks, BLOCK)).unsqueeze(-1) for t in (step, step * x, write, read))
    write, read = write.transpose(-1, -2), read.transpose(-1, -2)
    decays = (step * rate[:, None, None]).exp().unbind(3)  # (N, G, blocks, D, S) for each place in a block
    inputs = (fed * write).unbind(3)
    kept, states = [decays[0]], [inputs[0]]
    for decay, new in zip(decays[1:], inputs[1:], strict=True):
        kept.append(kept[-1] * decay)
        states.append(torch.addcmul(new, decay, states[-1]))
    last = _ends(states[-1], kept[-1], state)
    first = torch.cat((state[:, :, None], last[:, :, :-1]), dim=2)[:, :, :, None]
    found = torch.addcmul(torch.stack(states, dim=3), torch.stack(kept, dim=3), first)
    return (found * read).sum(-1).flatten(2, 3)[:, :, :length], last[:, :, -1]


def _ends(states: Tensor, kept: Tensor, start: Tensor) -> Tensor:
    """Return the state after each block, by doubling the number of blocks that are joined.

    Args:
        states: State after each block if it starts from 0, (N, G, blocks, D, S).
        kept: Part of a block's first state that is left after it, of the same shape.
        start: State before the first block, (N, G, D, S).
    """
    blocks = states.shape[2]
    place = torch.arange(blocks, device=states.device)
    states = states + kept * start[:, :, None] * (place == 0).to(states.dtype)[:, None, None]
    for level in range((blocks - 1).bit_length() if isinstance(blocks, int) else EXPORTED):
        before = place - 2**level
        real, before = (before >= 0).to(states.dtype)[:, None, None], before.clamp(min=0)
        states = states + kept * states.index_select(2, before) * real
        kept = kept * (kept.index_select(2, before) * real + (1 - real))
    return states


@cache
def cuda_kernel() -> Callable[..., Tensor] | None:
    """Return mamba_ssm's selective scan for CUDA, or None if it is not installed; warn once if it does not work."""
    try:
        kernel = importlib.import_module("mamba_ssm.ops.selective_scan_interface").selective_scan_fn
        if (
            torch.cuda.is_available()
        ):  # a kernel for other GPUs or another torch imports well and fails at its first call
            one = torch.ones(1, 1, 1, 1, device="cuda")
            _by_kernel(kernel, one, one, -one[0], one, one, one[0, 0])
        return kernel
    except ModuleNotFoundError as error:
        if error.name == "mamba_ssm":
            return None
        reason = one_line(error)
    except Exception as error:  # a compiled extension may raise anything
        reason = one_line(error)
    warnings.warn(f"mamba_ssm is installed but does not work ({reason}); scans use torch alone", stacklevel=2)
    return None


def _by_kernel(
    kernel: Callable[..., Tensor], x: Tensor, step: Tensor, rate: Tensor, write: Tensor, read: Tensor, through: Tensor
) -> Tensor:
    """Call mamba_ssm's kernel, which has channels before tokens and joins the groups' channels."""
    groups = x.shape[1]
    x, step, write, read = (t.transpose(-1, -2).contiguous() for t in (x, step, write, read))
    y = kernel(x.flatten(1, 2), step.flatten(1, 2), rate.flatten(0, 1).contiguous(), write, read, through.flatten())
    return y.unflatten(1, (groups, -1)).transpose(-1, -2)


def initial_rates(channels: int, states: int) -> Tensor:
    """Return logarithms of the initial rates, those of S4D-real: -1, -2, ..., -S for every channel, (D, S)."""
    return torch.arange(1, states + 1, dtype=torch.get_default_dtype()).log().repeat(channels, 1)


def initial_step_bias(*shape: int) -> Tensor:
    """Return biases whose softplus is log-uniform from 0.001 to 0.1."""
    low, high = math.log(SLOWEST), math.log(FASTEST)
    step = (torch.rand(shape) * (high - low) + low).exp().clamp(min=LEAST)
    return step + (-torch.expm1(-step)).log()


class Mamba(nn.Module):
    """Mamba's block: gate, causal depthwise convolution and selective scan over a sequence.

    Parameters have the names and shapes of ``mamba_ssm.Mamba``, except for ``A_log`` and ``D``, here ``rates`` and
    ``through``.

    Args:
        channels: Channels of the tokens.
        states: States of each inner channel.
        kernel: Tokens that the convolution sees.
        expand: Inner channels as a multiple of ``channels``.
        chunk: Tokens that the scan takes at a time, see `selective_scan`.

    Raises:
        UnetzooError: If ``chunk`` is not a whole number of at least 1.
    """

    def __init__(
        self, channels: int, *, states: int = 16, kernel: int = 4, expand: int = 2, chunk: int = CHUNK
    ) -> None:
        super().__init__()
        check_chunk(chunk)
        inner, self.rank = expand * channels, math.ceil(channels / 16)
        self.states, self.chunk = states, chunk
        self.in_proj = nn.Linear(channels, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, kernel, groups=inner, padding=kernel - 1)
        self.x_proj = nn.Linear(inner, self.rank + 2 * states, bias=False)
        self.dt_proj = nn.Linear(self.rank, inner)
        self.rates = nn.Parameter(initial_rates(inner, states))
        self.through = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, channels, bias=False)
        nn.init.uniform_(self.dt_proj.weight, -(self.rank**-0.5), self.rank**-0.5)
        with torch.no_grad():
            self.dt_proj.bias.copy_(initial_step_bias(inner))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, L, C) to the same shape."""
        x, gate = self.in_proj(tokens).chunk(2, dim=-1)
        x = F.silu(self.conv1d(x.transpose(1, 2))[..., : tokens.shape[1]]).transpose(1, 2)
        step, write, read = self.x_proj(x).split((self.rank, self.states, self.states), dim=-1)
        step = F.softplus(self.dt_proj(step).to(torch.promote_types(x.dtype, torch.float32)))
        rate = -self.rates.to(step.dtype).exp()
        x, step, write, read = (t[:, None] for t in (x, step, write, read))
        y = selective_scan(x, step, rate[None], write, read, self.through[None], chunk=self.chunk)
        return self.out_proj(y[:, 0] * F.silu(gate))
