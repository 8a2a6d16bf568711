"""Checks that every registered model passes, for authors of models.

>>> from unetzoo.testing import check_model
>>> len(check_model("unet", width=4, checks=["shape", "train"]))
2
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from unetzoo.errors import UnetzooError, nearest, one_line
from unetzoo.models import registry
from unetzoo.models.factory import resolve_model
from unetzoo.models.factory_entry import FactoryEntry
from unetzoo.models.registry import register_model
from unetzoo.nn.adapt import described
from unetzoo.nn.sizes import ValidSizes
from unetzoo.train.weights import load_model, save_model

CHANNELS, CLASSES, SIDE = 3, 2, 64
OTHERS = ((1, 4), (5, 1))  # channels and classes
SIZES = ((SIDE, SIDE), (37, 53), (50, 80))
MULTIPLES = (2, 4, 8, 16, 32, 64)
BFLOAT16 = 0.25  # in SDs of the logits; the most among built-in models is 0.14, where max pooling picks other pixels


class ModelCheckError(UnetzooError):
    """A model fails one of the checks that every registered model must pass."""


def check_model(
    model: str | Callable[..., nn.Module],
    /,
    *,
    checks: Collection[str] | None = None,
    sizes: Sequence[tuple[int, int]] = SIZES,
    **options: Any,
) -> list[str]:
    """Check that a model can be trained, measured and saved by unetzoo, on the CPU.

    The checks run in this order:

    - ``shape``: finite logits of the image's size.
    - ``channels``: 1, 3 and 5 input channels, 1, 2 and 4 classes.
    - ``train``: two steps on batches of 2, with a finite gradient for each trainable parameter.
    - ``eval``: logits that are deterministic and independent of the other images of the batch.
    - ``save``: equal logits after `save_model` and `load_model`.
    - ``channels_last``: equal logits in this memory format.
    - ``bfloat16``: autocast in both modes, with logits close to those in float32.
    - ``export``: `torch.export`. Trials do not need it; leave it out if your model does not support it.

    A network of valid convolutions gets image sizes that it accepts. The random state of torch is preserved.

    Args:
        model: Registered name; or a class or function, registered or not, that takes ``in_channels`` and
            ``num_classes`` by keyword.
        checks: Names of the checks to run; default: all.
        sizes: Image sizes (H, W) for ``shape``, in pixels.
        **options: Options of the model, such as ``width=8`` for a fast check.

    Returns:
        One line for each check, with its result.

    Raises:
        ModelCheckError: If a check fails. The first failure ends the checks; its message says in one line what the
            model did, what is required, and which argument of `register_model` would adapt it, if any.
        UnetzooError: If the name, an option, a check or a size is not valid.

    Examples:
        >>> for line in check_model("unet", width=4, checks=["channels", "train"]):
        ...     print(line)
        channels: (in_channels, num_classes) = (3, 2), (1, 4), (5, 1)
        train: finite gradients for all 64 trainable parameters, in two steps
    """
    wanted = _CHECKS if checks is None else [checks] if isinstance(checks, str) else list(checks)
    for check in wanted:
        if check not in _CHECKS:
            raise UnetzooError(f"checks: {check!r} is unknown; {nearest(check, _CHECKS)}")
    for size in sizes:
        if not isinstance(size, tuple) or len(size) != 2 or any(not isinstance(n, int) or n < 1 for n in size):
            raise UnetzooError(f"sizes: {size!r} must be (height, width), whole numbers of pixels from 1 up")
    with _registered(model) as name, torch.random.fork_rng(devices=[]):
        subject = _Subject(name, options, sizes)
        return [f"{check}: {run(subject)}" for check, run in _CHECKS.items() if check in wanted]


@contextmanager
def _registered(model: str | Callable[..., nn.Module]) -> Iterator[str]:
    """Yield the model's name; register a class or function for the duration of the context if it has none.

    Raises:
        UnetzooError: If it is neither a name nor callable, or does not take ``in_channels`` and ``num_classes``.
    """
    if isinstance(model, str):
        yield model
        return
    if not callable(model):
        raise UnetzooError(f"check_model({model!r}): must be a registered name, a class or a function")
    known = registry.entries()
    if names := [name for name, entry in known.items() if isinstance(entry, FactoryEntry) and entry.source is model]:
        yield names[0]
        return
    name = getattr(model, "__name__", type(model).__name__)
    name = f"{name} (not registered)" if name in known else name
    register_model(name)(model)
    try:
        yield name
    finally:
        del registry._REGISTRY.entries[name]


class _Subject:
    """A model under test, built once for checks in eval mode and once for checks in training mode."""

    def __init__(self, name: str, options: Mapping[str, Any], sizes: Sequence[tuple[int, int]]) -> None:
        self.name, self.options, self.sizes = name, options, sizes
        resolve_model(name, options=options)  # an invalid option is the caller's mistake, not the model's
        self.model = self.build().eval()
        # At least 2x2 pixels at the coarsest level: a norm over a single pixel has nothing to normalise.
        side = max(SIDE, min(2 * getattr(self.model, "multiple", 1), 128))
        torch.manual_seed(1)
        self.images = torch.rand(2, CHANNELS, *self.taken(side, side))

    @cached_property
    def learner(self) -> nn.Module:
        return self.build().train()

    @cached_property
    def expected(self) -> Tensor:
        """The logits of ``images`` in eval mode, to which other logits are compared."""
        return self.logits(self.images, "in eval mode")

    def fail(self, text: str) -> NoReturn:
        raise ModelCheckError(f"{self.name}: {text}") from None

    def build(self, channels: int = CHANNELS, classes: int = CLASSES) -> nn.Module:
        torch.manual_seed(0)
        config = resolve_model(self.name, in_channels=channels, num_classes=classes, options=self.options)
        try:
            return config.build()
        except UnetzooError:
            raise
        except Exception as error:  # a user's constructor may raise anything
            self.fail(f"building it with in_channels={channels}, num_classes={classes} raised {one_line(error)}")

    def taken(self, *sides: int) -> list[int]:
        """Return the sides, or the next larger ones that a network of valid convolutions accepts."""
        rule = getattr(self.model, "sizes", None)
        return [rule.input(side) for side in sides] if isinstance(rule, ValidSizes) else list(sides)

    def given(self, *sides: int) -> list[int]:
        """Return the sides of the logits for an image whose sides the network accepts."""
        rule = getattr(self.model, "sizes", None)
        return [rule.output(side) or 0 for side in sides] if isinstance(rule, ValidSizes) else list(sides)

    def scales(self, model: nn.Module, images: Tensor, where: str, classes: int = CLASSES) -> list[Tensor]:
        """Return the supervised scales in training mode, otherwise only the logits, and check the first of them.

        The error message begins with ``where``.
        """
        try:
            if model.training and hasattr(model, "forward_all"):
                first, *others = model.forward_all(images)  # type: ignore[operator]
            else:
                first, *others = [model(images)]
        except UnetzooError as error:
            self.fail(f"{where}: {error}")
        except Exception as error:  # a network may raise anything
            self.fail(f"{where} it raised {one_line(error)}")
        wanted = (len(images), classes, *self.given(*images.shape[-2:]))
        if not isinstance(first, Tensor):
            self.fail(f"{where} it returns {described(first)}; the logits must be one tensor{_output(first, wanted)}")
        if first.shape != wanted:
            self.fail(f"{where} it returns {described(first)}; wanted {wanted}")
        if not first.is_floating_point():
            self.fail(f"{where} its logits are {first.dtype}; wanted floating-point numbers")
        if not first.isfinite().all():
            self.fail(f"{where} its logits contain {'NaN' if first.isnan().any() else 'Inf'}")
        return [first, *others]

    def logits(self, images: Tensor, where: str) -> Tensor:
        with torch.no_grad():
            return self.scales(self.model, images, where)[0]

    def multiple(self) -> int | None:
        """Return the smallest of `MULTIPLES` whose multiples work as sides of images; None if none does."""
        for multiple in MULTIPLES:
            # Odd multiples, which are not multiples of the next candidate as well.
            h, w = ((-(-side // multiple) | 1) * multiple for side in SIZES[1])
            try:
                self.logits(torch.rand(1, CHANNELS, h, w + 2 * multiple), "")
            except ModelCheckError:
                continue
            return multiple
        return None


def _output(returned: object, wanted: tuple[int, ...]) -> str:
    """Return the end of a message: the adapter that would pick the logits from what the network returned."""
    if isinstance(returned, Mapping):
        named: Mapping[Any, Any] = returned
    elif isinstance(returned, tuple | list):
        named = dict(enumerate(returned))
    else:
        return ""
    fit = [key for key, value in named.items() if isinstance(value, Tensor) and value.shape == wanted]
    maps = [key for key, value in named.items() if isinstance(value, Tensor) and value.ndim == 4]
    return f": register_model(..., output={(fit or maps)[0]!r})" if maps else ""


def _shape(subject: _Subject) -> str:
    taken = []
    for size in subject.sizes:
        h, w = subject.taken(*size)
        try:
            subject.logits(torch.rand(1, CHANNELS, h, w), f"at {h}x{w}")
        except ModelCheckError as error:
            if "output=" in str(error) or (multiple := subject.multiple()) is None:
                raise
            advice = f"sides that are multiples of {multiple} work: register_model(..., multiple_of={multiple})"
            raise ModelCheckError(f"{error}; {advice}") from None
        taken.append(f"{h}x{w}")
    return f"finite logits at {', '.join(taken)}"


def _channels(subject: _Subject) -> str:
    h, w = subject.images.shape[-2:]
    for channels, classes in OTHERS:
        model = subject.build(channels, classes).eval()
        where = f"with in_channels={channels}, num_classes={classes}"
        with torch.no_grad():
            subject.scales(model, torch.rand(1, channels, h, w), where, classes)
    return f"(in_channels, num_classes) = {', '.join(map(str, [(CHANNELS, CLASSES), *OTHERS]))}"


def _train(subject: _Subject) -> str:
    model = subject.learner
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        subject.fail("it has no trainable parameter")
    optimizer = torch.optim.SGD(trainable.values(), lr=1e-4)
    for step in (1, 2):
        optimizer.zero_grad()
        _backward(subject, subject.images, f"in training step {step}")
        optimizer.step()
    return f"finite gradients for all {len(trainable)} trainable parameters, in two steps"


def _backward(subject: _Subject, images: Tensor, where: str) -> None:
    """Compute the gradients of a loss over all scales and check that none is missing or not finite."""
    model = subject.learner
    outputs = subject.scales(model, images, where)
    loss = torch.stack([y.float().square().mean() for y in outputs]).sum()
    if not loss.requires_grad:
        subject.fail(f"{where} no gradient reaches any parameter: its logits are detached from them")
    try:
        loss.backward()
    except Exception as error:  # such as a tensor changed in place
        subject.fail(f"{where} the backward pass raised {one_line(error)}")
    trainable = [(name, p.grad) for name, p in model.named_parameters() if p.requires_grad]
    if missing := [name for name, grad in trainable if grad is None]:
        more = f" (nor {len(missing) - 1} more)" if len(missing) > 1 else ""
        subject.fail(f"{where} no gradient reaches parameter {missing[0]}{more}; use it, remove it or freeze it")
    if bad := [name for name, grad in trainable if grad is not None and not grad.isfinite().all()]:
        subject.fail(f"{where} the gradient of parameter {bad[0]} contains NaN or Inf")


def _eval(subject: _Subject) -> str:
    first = subject.expected
    again = subject.logits(subject.images, "in eval mode, called again,")
    if off := _difference(again, first, 1e-5):
        subject.fail(f"in eval mode two calls on the same images differ by {off}; is dropout or other noise still on?")
    alone = subject.logits(subject.images[:1], "on one image")
    if off := _difference(alone, first[:1], 1e-3):
        subject.fail(
            f"in eval mode the logits of an image depend on the others in its batch (by {off}); "
            "does a norm take statistics of the batch?"
        )
    return "deterministic, and images do not affect each other"


def _save(subject: _Subject) -> str:
    with tempfile.TemporaryDirectory() as folder:
        try:
            loaded = load_model(save_model(subject.model, folder))
        except Exception as error:  # safetensors and the constructor raise many exception types
            subject.fail(f"saving and loading it raised {one_line(error)}")
    with torch.no_grad():
        (again,) = subject.scales(loaded, subject.images, "saved and loaded,")
    if off := _difference(again, subject.expected, 0.0):
        subject.fail(f"saved and loaded again, its logits differ by {off}; is there a value outside its state dict?")
    return "the same logits after save_model and load_model"


def _channels_last(subject: _Subject) -> str:
    expected = subject.expected
    subject.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    logits = subject.logits(subject.images.to(memory_format=torch.channels_last), "in channels_last")
    subject.model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    if off := _difference(logits, expected, 1e-3):
        subject.fail(f"in channels_last its logits differ by {off}; wanted the same in each memory layout")
    return "the same logits in channels_last"


def _bfloat16(subject: _Subject) -> str:
    full = subject.expected
    with torch.autocast("cpu", torch.bfloat16):
        half = subject.logits(subject.images, "in bfloat16 autocast").float()
    off, spread = float((half - full).abs().mean()), float(full.std())
    if off > BFLOAT16 * spread + 0.01 * float(full.abs().mean()):  # constant logits have an SD of 0
        subject.fail(
            f"in bfloat16 autocast its logits are off by {off:.2g} in the mean, where their SD is {spread:.2g}; "
            f"wanted less than {BFLOAT16} SD"
        )
    images = subject.images.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        subject.learner.zero_grad()
        _backward(subject, images, "training in bfloat16 autocast")
    return f"off by {off / max(spread, 1e-12):.3f} SD of the logits in autocast; finite gradients"


def _export(subject: _Subject) -> str:
    image = subject.images[:1]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about torch's own interfaces
        try:
            exported = torch.export.export(subject.model, (image,)).module()(image)
        except Exception as error:  # torch.export raises many exception types
            subject.fail(f"torch.export raised {one_line(error)}; trials do not need it: leave 'export' out of checks")
    if off := _difference(exported, subject.logits(image, "in eval mode"), 1e-4):
        subject.fail(f"exported by torch.export, its logits differ by {off}")
    return "the same logits from torch.export"


def _difference(found: Tensor, wanted: Tensor, tolerance: float) -> str:
    """Return the largest difference; '' if it is at most ``tolerance`` times the largest value."""
    largest = float((found - wanted).abs().max())
    return f"{largest:.2g}" if not largest <= tolerance * float(wanted.abs().max()) else ""


_CHECKS: dict[str, Callable[[_Subject], str]] = {
    "shape": _shape,
    "channels": _channels,
    "train": _train,
    "eval": _eval,
    "save": _save,
    "channels_last": _channels_last,
    "bfloat16": _bfloat16,
    "export": _export,
}
CHECKS = tuple(_CHECKS)
