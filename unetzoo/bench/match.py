"""Models of one size: the width at which one matches another's parameters or multiply-accumulates.

"Bilinear or transposed?" is two questions at once if one of the networks is also larger. At matched size it is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from unetzoo.errors import UnetzooError, one_line
from unetzoo.models.factory import ModelConfig
from unetzoo.models.registry import model_info

What = Literal["params", "macs"]
Size = int | tuple[int, int]
WORDS = {"params": "parameters", "macs": "multiply-accumulates"}
TOLERANCE = 0.02
DECIMALS = 3  # of a fractional width; at depth 8 every 1/128 changes the channels of the coarsest level
WIDEST = 8192  # upper limit of the search


def count(config: ModelConfig, what: What, size: Size = 256) -> int:
    """Count the learnable parameters, or the multiply-accumulates of one image, as the benchmark does.

    A network of valid convolutions is charged for its mirrored border. Nothing is allocated if the model runs on the
    meta device; otherwise it is run on the CPU.

    Args:
        config: The model.
        what: "params" or "macs".
        size: Side of the image in px, or (height, width); used for "macs" alone.

    Returns:
        The count.

    Raises:
        UnetzooError: If the model cannot be built or run.
    """
    return _once(config.model_dump_json(), model_info(config.name).fingerprint(), what, size)


@lru_cache(maxsize=4096)  # a collection counts the same models for every data set
def _once(config_json: str, fingerprint: str, what: What, size: Size) -> int:
    config = ModelConfig.model_validate_json(config_json)
    try:
        return _count(config, what, size, "meta")
    except UnetzooError:
        raise
    except Exception:  # a user's model may not run on the meta device
        try:
            return _count(config, what, size, "cpu")
        except Exception as error:  # a user's model may raise anything
            options = ", ".join(f"{k}={v!r}" for k, v in config.options.items())
            raise UnetzooError(f"model {config.name!r}({options}) cannot be counted: {one_line(error)}") from error


def _count(config: ModelConfig, what: What, size: Size, device: str) -> int:
    import torch

    from unetzoo.measure.counts import count_macs, count_parameters
    from unetzoo.nn.sizes import SameSize

    with torch.device(device):
        network = config.build(weights=False).eval()
    if what == "params":
        return count_parameters(network)
    height, width = (size, size) if isinstance(size, int) else size
    image = torch.zeros(1, config.in_channels, height, width, device=device)
    return count_macs(SameSize(network, config.num_classes).eval(), image)


def match_width(
    config: ModelConfig, target: int, what: What, size: Size = 256, tolerance: float = TOLERANCE
) -> tuple[ModelConfig, int]:
    """Find the width at which a model's count is nearest to a target.

    A spec of the grid takes fractional widths (at width 16 an integer step is 12 % of the parameters), rounded to
    as few decimals as give the same count; a user's model with an integer ``width`` is matched over integers. Counts
    are assumed to grow with the width.

    Args:
        config: The model; its width is where the search starts.
        target: The count to meet.
        what: "params" or "macs".
        size: Side of the image in px, or (height, width); used for "macs" alone.
        tolerance: Largest relative difference from the target that is accepted.

    Returns:
        The model at that width, and its count.

    Raises:
        UnetzooError: If the model has no numeric ``width``, cannot be counted, or no width comes within ``tolerance``
            of the target.
    """
    name, width = config.name, config.options.get("width")
    way_out = "leave it out of the match or choose another reference"
    if isinstance(width, bool) or not isinstance(width, int | float):
        raise UnetzooError(f"model {name!r} has no numeric option 'width' to match {WORDS[what]} with; {way_out}")
    fractional = model_info(name).fractional_width or isinstance(width, float)
    decimals = DECIMALS if fractional else 0
    seen: dict[float, int] = {}

    def at(value: float) -> ModelConfig:
        return config.model_copy(update={"options": {**config.options, "width": _whole(value)}})

    def counted(value: float) -> int:
        if value not in seen:
            seen[value] = count(at(value), what, size)
        return seen[value]

    unit = 10**decimals
    below, above = _bracket(lambda n: counted(n / unit), round(width * unit), target, WIDEST * unit)
    around = [n / unit for n in (below, above) if n is not None]
    best = min(around, key=lambda value: abs(counted(value) - target))
    if abs(counted(best) - target) > tolerance * target:
        nearest = " and ".join(f"{_whole(v)} has {counted(v):,} ({counted(v) / target - 1:+.1%})" for v in around)
        raise UnetzooError(
            f"model {name!r}: no width comes within {tolerance:.0%} of {target:,} {WORDS[what]}: "
            f"width {nearest}; {way_out}"
        )
    for digits in range(decimals + 1):
        short = round(best, digits)
        if short > 0 and counted(short) == counted(best):
            best = short
            break
    return at(best), counted(best)


def _bracket(function: Callable[[int], int], start: int, target: int, most: int) -> tuple[int | None, int | None]:
    """Return the largest n with function(n) <= target, and n + 1; None outside 1..most.

    Counts grow about as the square of the width, so the line through two of their square roots leads near the target.
    Every third step halves the interval instead, in case the line leads astray.
    """
    low, high, below, above = 0, max(1, min(start, most)), 0, 0
    while (above := function(high)) <= target:
        if high == most:
            return most, None
        guess = math.ceil(1.01 * high * math.sqrt(target / max(above, 1)))
        low, below, high = high, above, min(max(guess, high + 1), 2 * high, most)
    steps = 0
    while high - low > 1:
        steps += 1
        share = 0.5
        if steps % 3:
            share = (math.sqrt(target) - math.sqrt(below)) / (math.sqrt(above) - math.sqrt(below))
        middle = min(max(low + round(share * (high - low)), low + 1), high - 1)
        if (value := function(middle)) <= target:
            low, below = middle, value
        else:
            high, above = middle, value
    return low or None, high


def _whole(value: float) -> float:
    """Return a whole width as an int, which a user's model may require."""
    return int(value) if value == int(value) else value
