"""From a name and changed options to a network: `create_model`, and the `ModelConfig` that remembers how."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from unetzoo.errors import Strict, UnetzooError, one_line
from unetzoo.models.registry import model_info

if TYPE_CHECKING:
    from torch import nn

    from unetzoo.data.stream import Normalization


class ModelConfig(Strict):
    """A model resolved to the last option: the same config builds the same network."""

    name: str
    in_channels: int = Field(3, ge=1)
    num_classes: int = Field(1, ge=1)
    options: dict[str, Any] = {}

    @property
    def encoder(self) -> str | None:
        """Timm's name of the encoder, where it has one that weights can be loaded into."""
        return model_info(self.name).encoder(self.options)

    @property
    def pretrained(self) -> tuple[str, bool | str] | None:
        """Encoder and ``pretrained`` where that asks for weights."""
        weights = self.options.get("pretrained", False)
        return (self.encoder, weights) if self.encoder is not None and weights not in (None, False) else None

    def check(self, *, fetch: bool = True) -> None:
        """Raise `UnetzooError` where the network cannot be built, or pretrained weights cannot be had or do not fit it.

        No network is allocated, and a class or function of a user's own is not called: what it may do is for its trial.
        Without ``fetch`` only a file of weights that is named is looked at.
        """
        if model_info(self.name).own:
            return
        import torch

        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that nothing is copied to the meta device
            try:
                self.build(weights=fetch or self.pretrained is None or self.pretrained[1] is not True)
            except UnetzooError:
                raise
            except Exception as error:  # an option's value that nobody thought of
                raise UnetzooError(
                    f"model {self.name!r} with {self.options} cannot be built ({one_line(error)})"
                ) from None

    def build(self, *, weights: bool = True) -> nn.Module:
        """The network, which remembers this as ``model.unetzoo_config``. Raises `UnetzooError` on a bad one.

        Pretrained weights bring ``model.unetzoo_normalization``. Without ``weights`` they are not loaded: for what
        others will replace, or what is only counted.
        """
        model = model_info(self.name).build(self.in_channels, self.num_classes, self.options, weights=weights)
        from unetzoo.nn.dilated import mend_dilated

        mend_dilated(model)
        object.__setattr__(model, "unetzoo_config", self)  # plain data: nn.Module need not look at it
        if weights and (normalization := self.normalization()) is not None:
            object.__setattr__(model, "unetzoo_normalization", normalization)
        return model

    def normalization(self) -> Normalization | None:
        """Mean and std of images in [0, 1] that the pretrained encoder expects; None without one."""
        if self.pretrained is None:
            return None
        from unetzoo.data.stream import Normalization
        from unetzoo.encoders.files import statistics

        return Normalization(*statistics(self.pretrained[0], self.in_channels))


def resolve_model(
    name: str, *, in_channels: int = 3, num_classes: int = 1, options: Mapping[str, Any] | None = None
) -> ModelConfig:
    """Check a model and the given options without building it. Raises `UnetzooError`."""
    resolved = model_info(name).resolve(options or {})
    return ModelConfig(name=name, in_channels=in_channels, num_classes=num_classes, options=resolved)


def create_model(
    name: str,
    *,
    in_channels: int = 3,
    num_classes: int = 1,
    pretrained: bool | str | Path | None = None,
    **options: Any,
) -> nn.Module:
    """Build a model by name: images (N, in_channels, H, W) to logits (N, num_classes, H, W).

    ``options`` are options of the entry, for instance ``up="bilinear", width=32`` or ``encoder="resnet34"``.
    ``pretrained`` are weights for such an encoder: True for those timm knows, which it fetches if they are not at
    hand, or a .safetensors or .pth file. Raises `UnetzooError` on an unknown name, option or value, and where weights
    are asked for and cannot be had.
    """
    if pretrained not in (None, False) and "pretrained" not in model_info(name).options:
        raise UnetzooError(f"model {name!r} has no pretrained weights; use pretrained=False")
    if pretrained is not None and "pretrained" in model_info(name).options:
        options["pretrained"] = str(pretrained) if isinstance(pretrained, Path) else pretrained
    return resolve_model(name, in_channels=in_channels, num_classes=num_classes, options=options).build()
