"""Encoders of timm (Wightman 2019, doi 10.5281/zenodo.4414861) and the Mix Transformers of SegFormer, as pyramids.

This module imports timm, so it is itself imported only when such an encoder is needed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache, partial
from typing import Any, TypeVar

import timm
import torch
from timm.layers.format import Format
from timm.models import get_arch_pretrained_cfgs, get_pretrained_cfg
from timm.models._features import FeatureGetterNet, FeatureListNet
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from unetzoo.encoders.mix_transformer import VARIANTS, MixTransformer
from unetzoo.errors import UnetzooError, one_line
from unetzoo.nn.blocks import MakeModule
from unetzoo.nn.encoders import PlainEncoder

T = TypeVar("T")
MULTIPLES = (1, 2, 4, 7, 8, 14)  # of the coarsest stride; windows and grids of 7 or 8 may need the larger ones


@dataclass(frozen=True)
class Pyramid:
    """The levels of an encoder whose strides double; level i has stride ``2 ** (first + i)``.

    Attributes:
        name: Name of the encoder.
        first: Exponent of the finest stride.
        channels: Channels of each level, finest first.
        indices: Indices by which timm knows the levels.
        params: Parameters of all levels together.
        batch_norm: True if the encoder has batch norms.
        options: Further arguments of `timm.create_model`.
    """

    name: str
    first: int
    channels: tuple[int, ...]
    indices: tuple[int, ...]
    params: int
    batch_norm: bool
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each level, finest first."""
        return tuple(2 ** (self.first + i) for i in range(len(self.channels)))

    def levels(self, depth: int) -> int:
        """Return the number of these levels in a network of ``depth`` levels.

        Raises:
            UnetzooError: If the network would have none of them, or more levels than there are.
        """
        least, most = max(2, self.first + 1), self.first + len(self.channels)
        if not least <= depth <= most:
            raise UnetzooError(
                f"depth = {depth}: encoder = {self.name!r} has strides {self.strides[0]} to {self.strides[-1]}, "
                f"so depth must be {least} to {most}"
            )
        return depth - self.first


def create_body(name: str, *, in_chans: int, out_indices: Sequence[int], **options: Any) -> nn.Module:
    """Build an encoder with random weights, which maps (N, C, H, W) to a list of maps.

    Args:
        name: Name of a timm model or of a Mix Transformer.
        in_chans: Channels of the image.
        out_indices: Indices of the levels to return.
        options: Further arguments of `timm.create_model`.
    """
    if name in VARIANTS:
        return MixTransformer(name, in_chans, len(out_indices))
    how = {"in_chans": in_chans, "out_indices": tuple(out_indices), **options}
    if isinstance(torch.empty(0), FakeTensor):  # timm reads values while it builds; fake tensors have none
        return _apart(partial(_on_meta, name, **how)).to_empty(device=torch.get_default_device())
    return timm.create_model(name, features_only=True, **how)


class TimmEncoder(PlainEncoder):
    """Encoder whose coarse levels come from timm and whose finer ones are plain Blocks on the image.

    Level i has stride 2**i. Height and width of the image must be multiples of the attribute ``multiple``, up to which
    `UNet` mirrors images. If the attribute ``keep_statistics`` is True, batch norms of the ``body`` stay in eval mode
    while training.

    Args:
        name: Name of a timm model or of a Mix Transformer.
        in_channels: Channels of the image.
        depth: Number of levels, including those finer than timm's.
        fine_channels: Channels of the levels, finest first; only those finer than timm's are used.
        block: The Block of the finer levels.
        down: The Down between them.
        after: A module after the coarsest level, called as ``after(channels)``; optional.
        create: Function that builds the body, with the arguments of `create_body`.

    Raises:
        UnetzooError: If the encoder does not exist or does not have ``depth`` levels.
    """

    def __init__(
        self,
        name: str,
        in_channels: int,
        depth: int,
        *,
        fine_channels: Sequence[int],
        block: MakeModule,
        down: MakeModule,
        after: MakeModule | None = None,
        create: Callable[..., nn.Module] = create_body,
    ) -> None:
        found = pyramid(name)
        levels = found.levels(depth)
        fine = fine_channels[: found.first]
        super().__init__(in_channels, fine, blocks=[block] * len(fine), down=down)
        how = {"out_indices": found.indices[:levels], **found.options}
        self.multiple, unused = _trial_run(name, depth, in_channels)
        self.body = create(name, in_chans=in_channels, **how)
        for key in unused:
            self.body.get_parameter(key).requires_grad_(False)
        self.channels = (*fine, *found.channels[:levels])
        self.after = after(self.channels[-1]) if after else None
        self.keep_statistics = False

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, in_channels, H, W) to the pyramid: a list of maps (N, channels[i], H / 2**i, W / 2**i)."""
        levels = [*super().forward(x), *_maps(self.body, x)]
        return levels if self.after is None else [*levels[:-1], self.after(levels[-1])]

    def train(self, mode: bool = True) -> TimmEncoder:
        """Set training mode as `nn.Module.train`, except for batch norms that keep their statistics."""
        super().train(mode)
        if self.keep_statistics:
            for module in self.body.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self


def _maps(body: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the body's maps as (N, C, H, W), even if it computes in (N, H, W, C)."""
    maps = list(body(x))
    if getattr(body, "output_fmt", Format.NCHW) == Format.NHWC:
        return [y.permute(0, 3, 1, 2).contiguous() for y in maps]
    return maps


def check_name(name: str) -> None:
    """Check that an encoder exists.

    Args:
        name: 'model' or 'model.tag' of timm, or a Mix Transformer.

    Raises:
        UnetzooError: If there is no such model, or no weights of that tag.
    """
    architecture, dot, tag = name.partition(".")
    known = _names()
    if architecture not in known:
        raise UnetzooError(f"encoder = {name!r}: timm {timm.__version__} has no such model; {similar(architecture)}")
    tags = get_arch_pretrained_cfgs(architecture)
    if dot and tag not in [known.partition(".")[2] for known in tags]:
        some = ", ".join(tags) or "(none)"
        raise UnetzooError(f"encoder = {name!r}: timm has no weights {tag!r} for {architecture!r}; it has {some}")


def similar(name: str) -> str:
    """Return a hint for a mistyped encoder: "did you mean a or b?", or the command that lists all of them.

    Args:
        name: The name as it was typed.
    """
    close = get_close_matches(name, names(), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else "'unetzoo list --encoders PATTERN' lists them"


@cache
def _names() -> dict[str, None]:
    return dict.fromkeys([*timm.list_models(), *VARIANTS])


def names(tagged: bool = False) -> list[str]:
    """Return the names of all encoders, sorted; not every one of them is a pyramid that a U-Net can use.

    Args:
        tagged: Return every set of weights that timm knows instead, as 'model.tag'.
    """
    if tagged:
        return sorted(known for name in _names() for known in get_arch_pretrained_cfgs(name))
    return sorted(_names())


def _apart(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a new thread, free of the caller's inference mode, fake tensors and autocast."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


@cache
def pyramid(name: str) -> Pyramid:
    """Return the levels of an encoder, found on the meta device: nothing is allocated or downloaded.

    Args:
        name: Name of a timm model or of a Mix Transformer.

    Raises:
        UnetzooError: If there is no such encoder, or if the strides of its levels do not double.
    """
    return _apart(_pyramid, name)


def _pyramid(name: str) -> Pyramid:
    check_name(name)
    if name in VARIANTS:
        return _found(name, 2, VARIANTS[name][0], (0, 1, 2, 3), _on_meta(name, out_indices=range(4)), {})
    try:
        options = _image_options(name)
        body = _on_meta(name, **options)
        if not isinstance(body, FeatureListNet | FeatureGetterNet):  # others compute unused levels, too
            with suppress(TypeError, AttributeError):  # some support no getter
                body = _on_meta(name, **options, feature_cls="getter")
                options |= {"feature_cls": "getter"}
        info: list[dict[str, Any]] = body.feature_info.info  # type: ignore[assignment, union-attr]
    except Exception as error:  # timm's networks raise many exception types
        raise _without_features(name, error) from None
    strides = [level["reduction"] for level in info]
    last = {stride: (i, level["num_chs"]) for i, (stride, level) in enumerate(zip(strides, info, strict=True))}
    if len(last) == 1:
        raise UnetzooError(
            f"encoder = {name!r} has one stride, {strides[0]}, at all levels; a U-Net needs strides that double"
        )
    exponents = [stride.bit_length() - 1 for stride in sorted(last)]
    if [2**e for e in exponents] != sorted(last) or exponents != list(range(exponents[0], exponents[-1] + 1)):
        listed = ", ".join(map(str, sorted(last)))
        raise UnetzooError(f"encoder = {name!r} has levels of strides {listed}; a U-Net needs strides that double")
    indices, channels = zip(*(last[2**e] for e in exponents), strict=True)
    try:
        whole = _on_meta(name, out_indices=indices, **options)
    except Exception as error:
        raise _without_features(name, error) from None
    return _found(name, exponents[0], channels, indices, whole, options)


def _found(name: str, first: int, channels: Any, indices: Any, body: nn.Module, options: dict[str, Any]) -> Pyramid:
    params = sum(p.numel() for p in body.parameters())
    batch_norm = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in body.modules())
    return Pyramid(name, first, channels, indices, params, batch_norm, options)


def _without_features(name: str, error: Exception) -> UnetzooError:
    return UnetzooError(f"encoder = {name!r}: timm cannot return its feature maps ({one_line(error)})")


def _image_options(name: str) -> dict[str, Any]:
    """Return the timm option that lets a model made for one image size take any size; empty if there is none."""
    settings = get_pretrained_cfg(name)
    if settings is None or not settings.fixed_input_size:
        return {}
    for option in ({"dynamic_img_size": True}, {"strict_img_size": False}):
        try:
            _on_meta(name, **option)
        except TypeError:  # no such option
            continue
        return option
    return {}


def _on_meta(name: str, **options: Any) -> nn.Module:
    # Some constants are drawn on the CPU even so. Fork the generator, so that no later weights depend on this call.
    with torch.random.fork_rng(devices=[]), torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in VARIANTS:
            return create_body(name, **{"in_chans": 3, **options})
        return timm.create_model(name, features_only=True, **options)


def usable(name: str) -> Pyramid:
    """Return the levels of an encoder without coarse ones that no network can use.

    Args:
        name: Name of a timm model or of a Mix Transformer.

    Raises:
        UnetzooError: If no depth works; the message is that for all levels.
    """
    found = pyramid(name)
    deepest = found.first + len(found.channels)
    try:
        _trial_run(name, deepest, 3)
    except UnetzooError:
        for depth in range(deepest - 1, max(2, found.first + 1) - 1, -1):
            with suppress(UnetzooError):
                _trial_run(name, depth, 3)
                return _finer(found, found.levels(depth))
        raise
    return found


def _finer(found: Pyramid, levels: int) -> Pyramid:
    indices = found.indices[:levels]
    body = _apart(partial(_on_meta, found.name, out_indices=indices, **found.options))
    return _found(found.name, found.first, found.channels[:levels], indices, body, found.options)


@cache
def _trial_run(name: str, depth: int, in_channels: int) -> tuple[int, tuple[str, ...]]:
    """Return the number that image sides must be a multiple of, and the names of parameters without effect.

    For such sides each level has exactly the size that its stride implies.

    Raises:
        UnetzooError: If there is no such number, as with position embeddings for one image size.
    """
    return _apart(_try, pyramid(name), depth, in_channels)


def _try(found: Pyramid, depth: int, in_channels: int) -> tuple[int, tuple[str, ...]]:
    name = found.name
    levels = found.levels(depth)
    try:
        body = _on_meta(name, in_chans=in_channels, out_indices=found.indices[:levels], **found.options)
    except Exception as error:
        raise _without_features(name, error) from None
    reason = ""
    for factor in MULTIPLES:
        side = factor * found.strides[levels - 1]
        try:
            with torch.no_grad():
                smallest = _maps_of(body.eval(), 1, in_channels, side, side)
            maps = _maps_of(body.train(), 2, in_channels, 2 * side, 3 * side)
        except Exception as error:  # timm's networks raise many exception types
            reason = reason or one_line(error)
            continue
        if _fit(smallest, found, side, side) and _fit(maps, found, 2 * side, 3 * side):
            break
        reason = "its levels do not have the sizes that their strides imply"
    else:
        images = "images" if in_channels == 3 else f"{in_channels}-channel images"
        raise UnetzooError(f"encoder = {name!r} does not take {images} of arbitrary size at depth = {depth} ({reason})")
    torch.stack([y.sum() for y in maps]).sum().backward()  # gives every parameter in use a gradient
    unused = tuple(key for key, parameter in body.named_parameters() if parameter.grad is None)
    if unused and levels < len(found.channels) and not isinstance(body, FeatureListNet | FeatureGetterNet):
        raise UnetzooError(
            f"encoder = {name!r} cannot leave out its coarsest levels: depth = {depth} must be "
            f"{found.first + len(found.channels)}"
        )
    return side, unused


def _maps_of(body: nn.Module, *shape: int) -> list[Tensor]:
    with torch.device("meta"):
        return _maps(body, torch.empty(shape))


def _fit(maps: Sequence[Tensor], found: Pyramid, height: int, width: int) -> bool:
    """Return True if each level has the channels and the size that the pyramid promises."""
    expected = [(c, height // s, width // s) for c, s in zip(found.channels, found.strides, strict=True)]
    return [tuple(y.shape[1:]) for y in maps] == expected[: len(maps)]
