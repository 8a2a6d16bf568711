"""Models of one size: the width at which one meets another's parameters or multiply-accumulates.

"Bilinear or transposed?" asks two things at once where the one network is also larger. At matched size it
asks one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from unetzoo.errors import UnetzooError, plain
from unetzoo.models.factory import ModelConfig
from unetzoo.models.registry import model_info

What = Literal["params", "macs"]
Size = int | tuple[int, int]
WORDS = {"params": "parameters", "macs": "multiply-accumulates"}
TOLERANCE = 0.02
DECIMALS = 3  # of a fractional width: at depth 8 the coarsest level's channels change with every 1/128
WIDEST = 8192  # beyond it a model is no match but a mistake


def count(config: ModelConfig, what: What, size: Size = 256) -> int:
    """Learnable parameters, or multiply-accumulates of one image of ``size`` (a side, or height and width).

    As the benchmark counts them: a valid network is charged for its mirrored border. Nothing is allocated where
    the model runs on the meta device; one that cannot is run on the CPU. Raises `UnetzooError` where it cannot
    be built or run at all.
    """
    return _once(config.model_dump_json(), model_info(config.name).fingerprint(), what, size)


@lru_cache(maxsize=4096)  # a collection asks the same of every data set
def _once(config_json: str, fingerprint: str, what: What, size: Size) -> int:
    config = ModelConfig.model_validate_json(config_json)
    try:
        return _count(config, what, size, "meta")
    except UnetzooError:
        raise
    except Exception:  # a model of one's own may not run on the meta device
        try:
            return _count(config, what, size, "cpu")
        except Exception as error:  # and may raise anything
            options = ", ".join(f"{k}={v!r}" for k, v in config.options.items())
            raise UnetzooError(f"model {config.name!r}({options}) cannot be counted: {plain(error)}") from error


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
    """The same model at the width whose count is nearest to ``target``, and that count.

    A spec of the grid takes fractional widths (at width 16 an integer step is 12 % of the parameters), rounded to
    as few decimals as give the same count; a model of one's own with a whole-numbered ``width`` is matched over
    integers. Counts are taken to grow with the width. Raises `UnetzooError` where the model has no ``width`` or no
    width comes within ``tolerance`` of the target.
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
    """The largest n with function(n) <= target and n + 1, by doubling and bisection; None beyond 1 and ``most``."""
    low, high = 0, max(1, min(start, most))
    while function(high) <= target:
        if high == most:
            return most, None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if function(middle) <= target else (low, middle)
    return low or None, high


def _whole(value: float) -> float:
    """A model of one's own may ask for an int."""
    return int(value) if value == int(value) else value
