"""Networks as segmentation_models_pytorch (smp) builds them, to compare with, under this library's names and any size.

Nothing is built anew: `Peer.network` is smp's own module, with smp's parameters under smp's names. smp is imported when
the first network is built. Weights are random; the call of smp in `Peer` is the only place that decides so.

References:
    Code: segmentation_models_pytorch, https://github.com/qubvel-org/segmentation_models.pytorch. The papers are named
        by the entries smp_*.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from unetzoo.errors import UnetzooError, nearest, one_line
from unetzoo.nn.blocks import spatial
from unetzoo.standalone.common import AnySize, one_of, whole

_UNUSED: dict[str, list[str]] = {}  # names of the parameters that an architecture on an encoder never reads


class Peer(AnySize):
    """Architecture of smp on an encoder of smp, for images of any size.

    Parameters that smp declares but its forward pass never reads (PSPNet's deeper encoder, a ViT's classifier) are
    kept, so that smp's weights fit, but need no gradient, so that they are neither counted nor trained.

    Args:
        architecture: Name of smp's class.
        encoder: Name of an encoder of smp, or "tu-" and the name of a model of timm.
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        multiple: Number of pixels of which H and W must be a multiple; by default, what smp asks for.
        least: Smallest H and W in pixels; more where the encoder's stride or ``multiple`` is larger.
        **options: Further options of smp's class.

    Raises:
        UnetzooError: If smp does not know the encoder or cannot build this architecture on it.
    """

    def __init__(
        self,
        architecture: str,
        encoder: str,
        in_channels: int,
        num_classes: int,
        *,
        multiple: int | None = None,
        least: int = 1,
        **options: Any,
    ) -> None:
        super().__init__()
        import segmentation_models_pytorch as smp
        import timm

        names = smp.encoders.get_encoder_names()
        if encoder not in names and not (str(encoder).startswith("tu-") and timm.is_model(encoder[3:])):
            known = [*names, *(f"tu-{name}" for name in timm.list_models())]
            raise UnetzooError(f"option encoder = {encoder!r}: smp has no such encoder; {nearest(encoder, known)}")
        try:
            with _ReadNumbers():
                network: Any = getattr(smp, architecture)(
                    encoder, encoder_weights=None, in_channels=in_channels, classes=num_classes, **options
                )
            stride: int = network.encoder.output_stride
            self.multiple = multiple or (stride if network.requires_divisible_input_shape else 1)
            self.least = max(least, stride, self.multiple)
            key = json.dumps([architecture, encoder, options], sort_keys=True)
            if key not in _UNUSED:
                _UNUSED[key] = never_read(network, (2, in_channels, self.least, self.least))
        except Exception as error:  # smp and timm raise many types for an encoder that does not suit a decoder
            raise UnetzooError(
                f"option encoder = {encoder!r}: smp's {architecture} cannot use it ({one_line(error)})"
            ) from None
        for name in _UNUSED[key]:
            network.get_parameter(name).requires_grad_(False)
        self.network: nn.Module = network

    def logits(self, x: Tensor) -> Tensor:
        """Return smp's logits (N, K, H, W) for an image whose sides fit.

        Raises:
            UnetzooError: If batch norm meets a single value per channel, as in training on one small image.
            ValueError: If smp's forward pass raises any other one.
        """
        try:
            return self.network(x)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            h, w = spatial(x)
            raise UnetzooError(
                f"smp's {type(self.network).__name__} has batch norm on maps of one pixel: "
                f"training needs batches of at least 2 images, got 1 of {h}x{w}"
            ) from None


class _ReadNumbers(TorchFunctionMode):
    """Mode in which ``linspace`` computes on the CPU, so that its values can be read while building on the meta device.

    smp's Mix Transformer reads its rates of stochastic depth from one.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.linspace:
            kwargs = {"device": "cpu", **(kwargs or {})}
        return func(*args, **(kwargs or {}))


def never_read(network: nn.Module, shape: tuple[int, ...]) -> list[str]:
    """Return the names of parameters that the output for such a batch does not depend on; nothing is allocated.

    Args:
        network: The network.
        shape: Shape (N, C, H, W) of the batch.
    """
    parameters = dict(network.named_parameters())
    with torch.inference_mode(False), torch.enable_grad(), torch.device("meta"):
        wanted = {name: torch.empty(p.shape, dtype=p.dtype, requires_grad=True) for name, p in parameters.items()}
        buffers = {name: torch.empty(b.shape, dtype=b.dtype) for name, b in network.named_buffers()}
        output = functional_call(network, {**wanted, **buffers}, (torch.empty(shape),))
        gradients = torch.autograd.grad(output.sum(), list(wanted.values()), allow_unused=True)
    return [name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None]


def unet(in_channels: int, num_classes: int, *, encoder: str = "resnet34", width: int = 16) -> Peer:
    """Build smp.Unet.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        encoder: Name of an encoder, as in `Peer`.
        width: Channels of the decoder at the image's size; doubled at each coarser level.

    Raises:
        UnetzooError: If an option is out of range, or if smp cannot build the network on the encoder.
    """
    return _u_shaped("Unet", encoder, in_channels, num_classes, width)


def unetpp(
    in_channels: int, num_classes: int, *, encoder: str = "resnet34", width: int = 16, encoder_depth: int = 5
) -> Peer:
    """Build smp.UnetPlusPlus.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        encoder: Name of an encoder, as in `Peer`.
        width: Channels of the decoder at the image's size; doubled at each coarser level.
        encoder_depth: Number of times the encoder halves the image, 3 to 5.

    Raises:
        UnetzooError: If an option is out of range, or if smp cannot build the network on the encoder.
    """
    return _u_shaped("UnetPlusPlus", encoder, in_channels, num_classes, width, encoder_depth)


def manet(in_channels: int, num_classes: int, *, encoder: str = "resnet34", width: int = 16) -> Peer:
    """Build smp.MAnet.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        encoder: Name of an encoder, as in `Peer`.
        width: Channels of the decoder at the image's size; doubled at each coarser level.

    Raises:
        UnetzooError: If an option is out of range, or if smp cannot build the network on the encoder.
    """
    return _u_shaped("MAnet", encoder, in_channels, num_classes, width)


def _u_shaped(architecture: str, encoder: str, in_channels: int, num_classes: int, width: int, depth: int = 5) -> Peer:
    whole(width=width)
    one_of((3, 4, 5), encoder_depth=depth)
    channels = [width * 2**level for level in reversed(range(depth))]
    return Peer(architecture, encoder, in_channels, num_classes, encoder_depth=depth, decoder_channels=channels)


def linknet(in_channels: int, num_classes: int, *, encoder: str = "resnet34") -> Peer:
    """Build smp.Linknet, whose decoder has the encoder's channels.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        encoder: Name of an encoder, as in `Peer`.

    Raises:
        UnetzooError: If smp cannot build the network on the encoder.
    """
    return Peer("Linknet", encoder, in_channels, num_classes)


def fpn(in_channels: int, num_classes: int, *, encoder: str = "resnet34", width: int = 128, merge: str = "add") -> Peer:
    """Build smp.FPN.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        encoder: Name of an encoder, as in `Peer`.
        width: Channels of the maps that are merged, half of the pyramid's. A multiple of 32, the groups of its norm,
            and at least 64, since a group of one channel on one pixel has no deviation.
        merge: "add" or "cat".

    Raises:
        UnetzooError: If an option is out of range, or if smp cannot build the network on the encoder.
    """
    whole(width=width)
    one_of(("add", "cat"), merge=merge)
    if width % 32 or width < 64:
        raise UnetzooError(
            f"option width = {width}: must be a multiple of 32 and at least 64 (its group norm has 32 groups)"
        )
    return Peer(
        "FPN",
        encoder,
        in_channels,
        num_classes,
        decoder_pyramid_channels=2 * width,
        decoder_segmentation_channels=width,
        decoder_merge_policy=merge,
    )


def pspnet(in_channels: int, num_classes: int, *, encoder: str = "resnet34", width: int = 512) -> Peer:
    """Build smp.PSPNet.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        encoder: Name of an encoder, as in `Peer`.
        width: Channels after the pooled maps are joined.

    Raises:
        UnetzooError: If an option is out of range, or if smp cannot build the network on the encoder.
    """
    whole(width=width)
    return Peer("PSPNet", encoder, in_channels, num_classes, psp_out_channels=width)


def pan(in_channels: int, num_classes: int, *, encoder: str = "resnet34", width: int = 32) -> Peer:
    """Build smp.PAN.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        encoder: Name of an encoder, as in `Peer`.
        width: Channels of the decoder.

    Raises:
        UnetzooError: If an option is out of range, or if smp cannot build the network on the encoder.
    """
    whole(width=width)
    # The encoder's map, at 1/16 of the image's size, is halved three times more.
    return Peer("PAN", encoder, in_channels, num_classes, least=128, decoder_channels=width)


def deeplabv3plus(
    in_channels: int,
    num_classes: int,
    *,
    encoder: str = "resnet34",
    width: int = 256,
    output_stride: int = 16,
    separable: bool = True,
) -> Peer:
    """Build smp.DeepLabV3Plus.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        encoder: Name of an encoder, as in `Peer`.
        width: Channels of the decoder.
        output_stride: Stride of the encoder's last map, 8 or 16.
        separable: Make the atrous convolutions depthwise separable.

    Raises:
        UnetzooError: If an option is out of range, or if smp cannot build the network on the encoder.
    """
    whole(width=width)
    one_of((8, 16), output_stride=output_stride)
    return Peer(
        "DeepLabV3Plus",
        encoder,
        in_channels,
        num_classes,
        decoder_channels=width,
        encoder_output_stride=output_stride,
        decoder_aspp_separable=separable,
    )


def upernet(in_channels: int, num_classes: int, *, encoder: str = "resnet34", width: int = 256) -> Peer:
    """Build smp.UPerNet.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        encoder: Name of an encoder, as in `Peer`.
        width: Channels of the decoder.

    Raises:
        UnetzooError: If an option is out of range, or if smp cannot build the network on the encoder.
    """
    whole(width=width)
    return Peer("UPerNet", encoder, in_channels, num_classes, decoder_channels=width)


def segformer(in_channels: int, num_classes: int, *, encoder: str = "resnet34", width: int = 256) -> Peer:
    """Build smp.Segformer.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        encoder: Name of an encoder, as in `Peer`.
        width: Channels of the decoder.

    Raises:
        UnetzooError: If an option is out of range, or if smp cannot build the network on the encoder.
    """
    whole(width=width)
    return Peer("Segformer", encoder, in_channels, num_classes, decoder_segmentation_channels=width)


def dpt(
    in_channels: int,
    num_classes: int,
    *,
    encoder: str = "tu-vit_tiny_patch16_224",
    width: int = 256,
    readout: str = "cat",
) -> Peer:
    """Build smp.DPT on a ViT of timm.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        encoder: Name of an encoder, as in `Peer`.
        width: Channels of the decoder.
        readout: Use of the class token: "ignore", "add" or "cat", as in the paper's ablation.

    Raises:
        UnetzooError: If an option is out of range, or if smp cannot build the network on the encoder.
    """
    whole(width=width)
    one_of(("ignore", "add", "cat"), readout=readout)
    return Peer(
        "DPT",
        encoder,
        in_channels,
        num_classes,
        multiple=32,  # the coarsest of its four maps has 1/32 of the image's size, whatever the patches are
        decoder_fusion_channels=width,
        decoder_intermediate_channels=[width, 2 * width, 4 * width, 4 * width],
        decoder_readout=readout,
        dynamic_img_size=True,
    )
