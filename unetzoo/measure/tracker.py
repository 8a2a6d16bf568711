"""What the tensors of a training step and of a forward pass hold at their peak, and what for.

On fake tensors (shapes without values) nothing is allocated and nothing computed, so the same account is a
prediction, of any model at any size on any machine. Seen are the results of torch's operators; what a kernel
takes for itself while it works is not, nor is what the allocator keeps: see ``reports/memory-prediction``.

`torch.distributed._tools.mem_tracker.MemTracker` would do much of this. It is private, is not in every build of
torch, and counts the gradients under way and the skip connections with the rest; this is what we need of it.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from unetzoo.models.factory import ModelConfig
from unetzoo.nn.sizes import SameSize
from unetzoo.nn.skips import NoSkip
from unetzoo.records.measured import Breakdown, TensorMemory
from unetzoo.train.losses import supervised_loss

Shape = tuple[int, int, int, int]
Purpose = Literal["parameters", "gradients", "optimizer", "activations", "skips", "other"]


class MemoryTracker(TorchDispatchMode):
    """Bytes of all storages that operators give while this mode is on, by purpose, and their peak.

    A storage counts once, however many views it has, from its first tensor until its last is gone. It is filed
    under the purpose of the moment (`during`) until it is told to be another's (`file`).
    """

    def __init__(self) -> None:
        super().__init__()
        self.purpose: Purpose = "other"
        self.held: dict[int, tuple[weakref.ref[Any], int, Purpose]] = {}
        self.now = Counter[Purpose]()
        self.peak = Counter[Purpose]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._see(leaf)
        return result

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.held:
            return
        size = storage.nbytes()
        # The Python object of a storage lives as long as the storage does, whoever holds it.
        self.held[key] = weakref.ref(storage, lambda _: self._forget(key)), size, self.purpose
        self.now[self.purpose] += size
        if self.now.total() > self.peak.total():
            self.peak = self.now.copy()

    def _forget(self, key: int) -> None:
        _, size, purpose = self.held.pop(key)
        self.now[purpose] -= size

    def file(self, tensors: Iterable[Tensor], purpose: Purpose) -> None:
        """From now on these tensors' storages count under ``purpose``."""
        for tensor in tensors:
            self._see(tensor)
            key = tensor.untyped_storage()._cdata
            reference, size, before = self.held[key]
            self.held[key] = reference, size, purpose
            self.now[before] -= size
            self.now[purpose] += size

    @contextmanager
    def during(self, purpose: Purpose) -> Iterator[None]:
        before, self.purpose = self.purpose, purpose
        try:
            yield
        finally:
            self.purpose = before

    def restart(self) -> None:
        """Forget the peak so far."""
        self.peak = self.now.copy()

    def breakdown(self, *, has_skips: bool) -> Breakdown:
        """The peak since the last `restart`."""
        return Breakdown(
            total=self.peak.total(),
            parameters=self.peak["parameters"],
            gradients=self.peak["gradients"],
            optimizer=self.peak["optimizer"],
            activations=self.peak["activations"] + self.peak["skips"],
            other=self.peak["other"],
            skips=self.peak["skips"] if has_skips else None,
        )


def adamw(network: nn.Module) -> torch.optim.Optimizer:
    """The default optimizer: of all parameters."""
    return torch.optim.AdamW(network.parameters())


class Rehearsal:
    """A network with its optimizer, and what a trial does with them: forward passes and training steps.

    ``classes`` count the background; ``precision`` is 'float32', or 'bfloat16' for autocast. On ``fake`` tensors
    nothing is allocated. `training_peak` and `inference_peak` track the tensors; `forward` and `step` are the bare
    work, to be timed. What a network raises, they raise.
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
    ) -> None:
        self.classes, self.ignore_index, self.device, self.precision = classes, ignore_index, device, precision
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        # A network of one's own may hold constants that were made before it: they stay real.
        self.mode = FakeTensorMode(allow_non_fake_inputs=True) if fake else nullcontext()
        self.tracker = MemoryTracker()
        network = self._build(config, fake)
        with self._tracked():
            with torch.device(device):
                network.train()  # weights that are one memory before that (MALUNet's) part
            for tensor in (*network.parameters(), *network.buffers()):
                if tensor.dim() == 4:  # what network.to(memory_format=...) does, which fake parameters refuse
                    tensor.data = tensor.data.contiguous(memory_format=self.layout)
            self.tracker.file(network.parameters(), "parameters")
            self.optimizer = optimizer(network)
        self.model = SameSize(network, classes)
        for parameter in network.parameters():
            if parameter.requires_grad:  # hooks hold the tracker, not self: a cycle would keep the tensors alive
                parameter.register_post_accumulate_grad_hook(partial(_file_gradient, self.tracker))
        encoder = getattr(network, "encoder", None)
        if isinstance(encoder, nn.ModuleList):  # levels called one by one: there is no call that gives a pyramid
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
            with torch.device("meta"):  # where timm may look at the values it makes rates of stochastic depth from
                network = config.build(weights=False)
            with self._tracked():
                return network.to_empty(device=self.device)

    def images(self, shape: Shape) -> Tensor:
        """Random pixels (N, C, H, W)."""
        with self.mode:
            return torch.rand(shape, device=self.device).contiguous(memory_format=self.layout)

    def masks(self, shape: Shape) -> Tensor:
        """Random classes (N, H, W) for images (N, C, H, W)."""
        with self.mode:
            return torch.randint(self.classes, (shape[0], *shape[2:]), device=self.device)

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K, H, W) in eval mode."""
        self.model.eval()
        with self._autocast():  # anew each time: within one context the weights would be cast once only
            return self.model(images)[0]

    def step(self, images: Tensor, masks: Tensor) -> None:
        """One training step."""
        self.model.train()
        with self.tracker.during("activations"):
            with self._autocast():
                outputs = self.model(images)
            loss = supervised_loss(outputs, masks, self.ignore_index)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def inference_peak(self, shape: Shape) -> Breakdown:
        """Of a forward pass of images (N, C, H, W); before any `training_peak`, whose optimizer state would count."""
        with self._tracked():
            images = self.images(shape)
            self.tracker.restart()
            with self.tracker.during("activations"):
                self.forward(images)
            return self.tracker.breakdown(has_skips=self.has_skips)

    def training_peak(self, shape: Shape) -> Breakdown:
        """Of a step on images (N, C, H, W) as every one after the first is: with the optimizer's state."""
        with self._tracked():
            if not self.optimizer.state:
                self.step(self.images(shape), self.masks(shape))
                state = tree_leaves([dict(values) for values in self.optimizer.state.values()])
                self.tracker.file((value for value in state if isinstance(value, Tensor)), "optimizer")
            images, masks = self.images(shape), self.masks(shape)
            self.tracker.restart()
            self.step(images, masks)
            return self.tracker.breakdown(has_skips=self.has_skips)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device, dtype=getattr(torch, self.precision))

    @contextmanager
    def _tracked(self) -> Iterator[None]:
        with self.mode, self.tracker:  # the tracker inside, so that it sees what the network asks for
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
) -> TensorMemory | None:
    """Peak bytes of a training step on ``train_shape`` and a forward pass on ``infer_shape``, both (N, C, H, W).

    ``fake``: predicted, with nothing allocated; None where the network does not run on fake tensors (a model of
    one's own that looks at values, say). Otherwise measured on real tensors, and what goes wrong is raised.
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
        )
        infer = work.inference_peak(infer_shape)
        return TensorMemory(train=work.training_peak(train_shape), infer=infer)
    except Exception:
        if fake:
            return None
        raise
