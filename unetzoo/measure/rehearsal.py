"""Peak memory of the tensors of a training step and of a forward pass, by purpose.

On fake tensors (shapes without values) nothing is allocated and nothing is computed, so the same code predicts the
memory of any model at any size on any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves

from unetzoo.measure.tracker import MemoryTracker, Trace, breakdown
from unetzoo.models.factory import ModelConfig
from unetzoo.nn.recompute import Recompute, recomputing
from unetzoo.nn.sizes import SameSize
from unetzoo.nn.skips import NoSkip
from unetzoo.records.measured import Breakdown, TensorMemory
from unetzoo.train.losses import supervised_loss

Shape = tuple[int, int, int, int]


def adamw(network: nn.Module) -> torch.optim.Optimizer:
    """Build the default optimizer, AdamW over all parameters.

    Args:
        network: The network.
    """
    return torch.optim.AdamW(network.parameters())


class Rehearsal:
    """A network and its optimizer, with the forward passes and training steps of a trial.

    `training_peak` and `inference_peak` track the tensors; `forward` and `step` are the bare work, to be timed. All of
    them pass on the exceptions of the network.

    Args:
        config: The model.
        classes: Number of classes, including background.
        precision: 'float32', or 'bfloat16' for autocast.
        channels_last: Whether weights and images are in channels_last.
        device: 'cuda', 'mps' or 'cpu'.
        ignore_index: Value of mask pixels that do not count in the loss; None if there are none.
        fake: Whether to use fake tensors, so that nothing is allocated.
        optimizer: Function that builds the optimizer of a network.
        recompute: Maps that the backward pass computes again; see `unetzoo.nn.recompute.segments`.
    """

    def __init__(
        self,
        config: ModelConfig,
        classes: int,
        *,
        precision: str,
        channels_last: bool = True,
        device: str = "cpu",
        ignore_index: int | None = None,
        fake: bool = True,
        optimizer: Callable[[nn.Module], torch.optim.Optimizer] = adamw,
        recompute: Recompute = "none",
    ) -> None:
        self.recompute: Recompute = recompute
        self.classes, self.ignore_index, self.device, self.precision = classes, ignore_index, device, precision
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        # A user's network may hold constants that were made before; these stay real tensors.
        self.mode = FakeTensorMode(allow_non_fake_inputs=True) if fake else nullcontext()
        self.tracker, self.trace = MemoryTracker(), Trace()
        network = self._build(config, fake)
        with self._tracked():
            with torch.device(device):
                network.train()  # separates weights that share memory until then (MALUNet's)
            for tensor in (*network.parameters(), *network.buffers()):
                if tensor.dim() == 4:  # network.to(memory_format=...) fails on fake parameters
                    tensor.data = tensor.data.contiguous(memory_format=self.memory_format)
            self.tracker.file(network.parameters(), "parameters")
            self.optimizer = optimizer(network)
        self.model = SameSize(network, classes)
        for parameter in network.parameters():
            if parameter.requires_grad:  # hooks get the tracker, not self: a cycle would keep tensors alive
                parameter.register_post_accumulate_grad_hook(partial(_file_gradient, self.tracker))
        encoder = getattr(network, "encoder", None)
        if isinstance(encoder, nn.ModuleList):  # levels are called one by one, so no call returns a pyramid
            encoder = None
        self.has_skips = isinstance(encoder, nn.Module) and hasattr(network, "decoder")
        if isinstance(encoder, nn.Module) and not any(isinstance(part, NoSkip) for part in network.modules()):
            encoder.register_forward_hook(partial(_file_skips, self.tracker))

    def _build(self, config: ModelConfig, fake: bool) -> nn.Module:
        try:
            with self._tracked(), torch.device(self.device):
                return config.build(weights=False)
        except Exception:
            if not fake:
                raise
            with torch.device("meta"):  # on which timm can read the values of its stochastic depth rates
                network = config.build(weights=False)
            with self._tracked():
                return network.to_empty(device=self.device)

    def images(self, shape: Shape) -> Tensor:
        """Return random images.

        Args:
            shape: (N, C, H, W).
        """
        with self.mode:
            return torch.rand(shape, device=self.device).contiguous(memory_format=self.memory_format)

    def masks(self, shape: Shape) -> Tensor:
        """Return random masks (N, H, W).

        Args:
            shape: Shape of the images, (N, C, H, W).
        """
        with self.mode:
            return torch.randint(self.classes, (shape[0], *shape[2:]), device=self.device)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, K, H, W) in eval mode.

        Bytes are those of inference mode, in which autocast keeps no cast weights. Inference mode itself hides from the
        tracker what composite operators such as einsum consist of, and from those the autocast.
        """
        self.model.eval()
        with self._autocast(cache=False):
            return self.model(images)[0]

    def step(self, images: Tensor, masks: Tensor) -> None:
        """Run one training step.

        Args:
            images: (N, C, H, W).
            masks: (N, H, W).
        """
        self.model.train()
        activations = partial(self.tracker.during, "activations")
        with recomputing(self.model.network, self.recompute, activations):
            with activations():
                with self._autocast():
                    outputs = self.model(images)
                loss = supervised_loss(outputs, masks, self.ignore_index)
            loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def inference_peak(self, shape: Shape) -> Breakdown:
        """Return the peak of a forward pass; call it before `training_peak`, whose optimizer state would count.

        Args:
            shape: Shape of the images, (N, C, H, W).
        """
        with self._tracked():
            images = self.images(shape)
            self.tracker.restart()
            with self.tracker.during("activations"):
                self.forward(images)
            return breakdown(self.tracker.peak, has_skips=self.has_skips)

    def training_peak(self, shape: Shape) -> Breakdown:
        """Return the peak of a steady-state training step, in which the optimizer's state is already allocated.

        Its changes, those of its images included, are then in `trace`.

        Args:
            shape: Shape of the images, (N, C, H, W).
        """
        with self._tracked():
            if not self.optimizer.state:
                self.step(self.images(shape), self.masks(shape))
                state = tree_leaves([dict(values) for values in self.optimizer.state.values()])
                self.tracker.file((value for value in state if isinstance(value, Tensor)), "optimizer")
            with self.tracker.tracing() as self.trace:
                images, masks = self.images(shape), self.masks(shape)
                self.tracker.restart()
                self.step(images, masks)
            return breakdown(self.tracker.peak, has_skips=self.has_skips)

    def _autocast(self, *, cache: bool = True) -> AbstractContextManager[Any]:
        """Return a new context, because autocast caches the cast weights in it if ``cache``."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device, dtype=getattr(torch, self.precision), cache_enabled=cache)

    @contextmanager
    def _tracked(self) -> Iterator[None]:
        with self.mode, self.tracker:  # the tracker is the inner one, so that it sees the network's operators
            yield


def _file_gradient(tracker: MemoryTracker, parameter: Tensor) -> None:
    if parameter.grad is not None:
        tracker.file([parameter.grad], "gradients")


def _file_skips(tracker: MemoryTracker, _encoder: nn.Module, _inputs: object, pyramid: object) -> None:
    if isinstance(pyramid, list | tuple):
        tracker.file((level for level in pyramid[:-1] if isinstance(level, Tensor)), "skips")


def tensor_memory(
    config: ModelConfig,
    classes: int,
    train_shape: Shape,
    infer_shape: Shape,
    *,
    precision: str,
    channels_last: bool = True,
    device: str = "cpu",
    ignore_index: int | None = None,
    fake: bool = True,
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] = adamw,
    recompute: Recompute = "none",
) -> TensorMemory | None:
    """Predict or measure the peak memory of a training step and of a forward pass.

    Args:
        config: The model.
        classes: Number of classes, including background.
        train_shape: Shape of the images of the training step, (N, C, H, W).
        infer_shape: Shape of the images of the forward pass, (N, C, H, W).
        precision: 'float32', or 'bfloat16' for autocast.
        channels_last: Whether weights and images are in channels_last.
        device: 'cuda', 'mps' or 'cpu'.
        ignore_index: Value of mask pixels that do not count in the loss; None if there are none.
        fake: Predict with fake tensors, without allocating anything, instead of measuring with real ones.
        optimizer: Function that builds the optimizer of a network.
        recompute: Maps that the backward pass computes again; see `unetzoo.nn.recompute.segments`.

    Returns:
        Bytes by purpose. With ``fake``, None if the network does not run on fake tensors, as a user's model that reads
        values; otherwise its exception is raised.
    """
    try:
        work = Rehearsal(
            config,
            classes,
            precision=precision,
            channels_last=channels_last,
            device=device,
            ignore_index=ignore_index,
            fake=fake,
            optimizer=optimizer,
            recompute=recompute,
        )
        infer = work.inference_peak(infer_shape)
        return TensorMemory(train=work.training_peak(train_shape), infer=infer)
    except Exception:
        if fake:
            return None
        raise
