"""The cost of one model by itself: predicted memory, measured latency."""

from __future__ import annotations

from unetzoo.bench.need import Need, fits_here, memory_to_plan, predict, reason
from unetzoo.bench.suite import Measurement
from unetzoo.errors import Strict, UnetzooError
from unetzoo.machine.device import resolve_device, resolve_precision
from unetzoo.measure.counts import side_read
from unetzoo.measure.latency import Latency, measure_latency
from unetzoo.measure.rehearsal import Rehearsal
from unetzoo.models.factory import ModelConfig
from unetzoo.train.recipe import Recipe


class Profile(Strict):
    """The cost of one model by itself; the latency is measured, the rest is predicted.

    Attributes:
        name: Name of the model.
        options: Its options.
        device: Device type.
        precision: Resolved precision.
        limit_bytes: Memory that it may use; None if not known.
        limit_source: Source of that limit, in words.
        need: Its predicted memory and size.
        reads: Side in px that the images of ``need`` are mirrored to: larger than theirs for valid convolutions.
        latency_p50_ms: Median time of a forward pass in ms; None if not measured.
        latency_p90_ms: 90th percentile of that time in ms; None if not measured.
        latency_repeats: Timed forward passes.
    """

    name: str
    options: dict[str, object]
    device: str
    precision: str
    limit_bytes: int | None
    limit_source: str
    need: Need
    reads: int
    latency_p50_ms: float | None = None
    latency_p90_ms: float | None = None
    latency_repeats: int | None = None


def profile_model(
    config: ModelConfig,
    *,
    size: int = 256,
    batch: int = 1,
    precision: str = "auto",
    limit: int | None = None,
    timed: bool = True,
) -> Profile:
    """Predict the memory of one model in training and inference on square images, and time a forward pass.

    Args:
        config: The model.
        size: Side of the images in px.
        batch: Images at once, in training and in inference.
        precision: "auto", "float32" or "bfloat16".
        limit: Bytes of memory to plan for; default: this machine's memory.
        timed: Measure the latency; otherwise nothing is allocated, unless a user's model needs memory to be built.

    Returns:
        The profile.

    Raises:
        UnetzooError: If the model cannot be built, or fails while it is timed.
    """
    config.check(fetch=False)
    recipe = Recipe.from_mapping({"precision": precision}, "")  # checks the value
    device = resolve_device(recipe.device)
    precision = resolve_precision(recipe.precision, device)
    limit, source = memory_to_plan(limit, device)
    shape = (batch, config.in_channels, size, size)
    need = predict(config, shape, shape, None, recipe, device, precision, limit)
    try:
        reads = side_read(config, size)
    except Exception as error:  # raised by a user's model, which `check` does not build
        raise UnetzooError(f"model {config.name!r}: {reason(error)}") from None
    latency: Latency | None = None
    if timed and fits_here(need, device):
        try:
            work = Rehearsal(config, config.num_classes, precision=precision, device=device, fake=False)
            images = work.images(shape)
            latency = measure_latency(lambda: work.forward(images), device, Measurement().repeats)
        except Exception as error:
            raise UnetzooError(f"model {config.name!r}: {reason(error)}") from None
    return Profile(
        name=config.name,
        options=config.options,
        device=device,
        precision=precision,
        limit_bytes=limit,
        limit_source=source,
        need=need,
        reads=reads,
        latency_p50_ms=latency.p50_ms if latency else None,
        latency_p90_ms=latency.p90_ms if latency else None,
        latency_repeats=latency.repeats if latency else None,
    )
