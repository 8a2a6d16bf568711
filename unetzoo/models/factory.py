"""Build a network from a name and changed options: `create_model` and `ModelConfig`."""

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
    """A model with all its options resolved; equal configs build the same network.

    Attributes:
        name: Registered name.
        in_channels: Channels of the images.
        num_classes: Channels of the logits.
        options: All options of the model.
    """

    name: str
    in_channels: int = Field(3, ge=1)
    num_classes: int = Field(1, ge=1)
    options: dict[str, Any] = {}

    @property
    def encoder(self) -> str | None:
        """Name in timm of the encoder whose weights can be loaded; None if there is none."""
        return model_info(self.name).encoder(self.options)

    @property
    def pretrained(self) -> tuple[str, bool | str] | None:
        """Encoder and value of ``pretrained``; None if no pretrained weights are requested."""
        weights = self.options.get("pretrained", False)
        return (self.encoder, weights) if self.encoder is not None and weights not in (None, False) else None

    def check(self, *, fetch: bool = True) -> None:
        """Check that the network can be built and that its pretrained weights exist and fit, without allocating it.

        A user's class or function is not called: its side effects belong in the trial's process.

        Args:
            fetch: Download missing weights to check them; False checks only weights in a file that is given by path.

        Raises:
            UnetzooError: If the network cannot be built, or its weights cannot be obtained or do not fit it.
        """
        if model_info(self.name).own:
            return
        import torch

        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns that copies to the meta device have no effect
            try:
                self.build(weights=fetch or self.pretrained is None or self.pretrained[1] is not True)
            except UnetzooError:
                raise
            except Exception as error:  # an invalid value that the network does not check
                raise UnetzooError(
                    f"model {self.name!r} with {self.options} cannot be built ({one_line(error)})"
                ) from None

    def build(self, *, weights: bool = True) -> nn.Module:
        """Build the network and store this config in ``model.unetzoo_config``.

        With pretrained weights, ``model.unetzoo_normalization`` is the normalization of images that they expect.

        Args:
            weights: Load pretrained weights if the options ask for them; False for a network whose weights will be
                replaced or which is only counted.

        Returns:
            The network, which maps images (N, in_channels, H, W) to logits (N, num_classes, H, W).

        Raises:
            UnetzooError: If the options are incompatible, or weights cannot be obtained.
        """
        model = model_info(self.name).build(self.in_channels, self.num_classes, self.options, weights=weights)
        from unetzoo.nn.dilated import mend_dilated

        mend_dilated(model)
        object.__setattr__(model, "unetzoo_config", self)  # plain data, which nn.Module need not register
        if weights and (normalization := self.normalization()) is not None:
            object.__setattr__(model, "unetzoo_normalization", normalization)
        return model

    def normalization(self) -> Normalization | None:
        """Return the mean and SD of images in [0, 1] that the pretrained encoder expects.

        Returns:
            The statistics per channel; None without pretrained weights.
        """
        if self.pretrained is None:
            return None
        from unetzoo.data.stream import Normalization
        from unetzoo.encoders.files import statistics

        return Normalization(*statistics(self.pretrained[0], self.in_channels))


def resolve_model(
    name: str, *, in_channels: int = 3, num_classes: int = 1, options: Mapping[str, Any] | None = None
) -> ModelConfig:
    """Resolve all options of a model and check them, without building it.

    Args:
        name: Registered name.
        in_channels: Channels of the images.
        num_classes: Channels of the logits.
        options: Options to change, and their values.

    Returns:
        The config, which builds the network.

    Raises:
        UnetzooError: If the name or an option is unknown, or a value is not allowed.
    """
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

    Args:
        name: Registered name; see `list_models`.
        in_channels: Channels of the images.
        num_classes: Channels of the logits.
        pretrained: Weights of the encoder: True for those of timm, downloaded if they are not on this machine; or the
            path of a .safetensors or .pth file. None keeps the model's default.
        **options: Options of the model, for instance ``up="bilinear", width=32`` or ``encoder="resnet34"``.

    Returns:
        The network, whose ``unetzoo_config`` holds all its options.

    Raises:
        UnetzooError: If the name, an option or a value is not valid, or pretrained weights cannot be obtained.

    Examples:
        >>> import torch
        >>> model = create_model("unet", in_channels=1, num_classes=2, up="bilinear", width=8)
        >>> model(torch.rand(1, 1, 64, 64)).shape
        torch.Size([1, 2, 64, 64])
        >>> model.unetzoo_config.options["up"]
        'bilinear'
    """
    if pretrained not in (None, False) and "pretrained" not in model_info(name).options:
        raise UnetzooError(f"model {name!r} has no pretrained weights: pretrained = {pretrained!r} must be False")
    if pretrained is not None and "pretrained" in model_info(name).options:
        options["pretrained"] = str(pretrained) if isinstance(pretrained, Path) else pretrained
    return resolve_model(name, in_channels=in_channels, num_classes=num_classes, options=options).build()
