"""The architecture of a record's network, if the registry of this environment still builds the same one."""

from __future__ import annotations

import warnings
from functools import cache
from math import log2
from typing import TYPE_CHECKING

from unetzoo._util.language import _
from unetzoo.errors import UnetzooError, one_line
from unetzoo.gallery.drawing import draw_topology
from unetzoo.models.factory import ModelConfig, resolve_model
from unetzoo.models.registry import model_info
from unetzoo.records.fields import dig
from unetzoo.records.record import Record
from unetzoo.report.architecture import Architecture, Stage

if TYPE_CHECKING:
    from unetzoo.measure.counts import Stage as Part

SIDE = 256  # px, of a record without a measured shape


def describe(record: Record) -> Architecture | str:
    """Return the stages and the drawing of a record's network, or the reason why they are not shown.

    The network is built on the meta device, which allocates nothing. A model of the user's own is not built, as that
    may have side effects.

    Args:
        record: Record of a trial of a model.
    """
    model = record.trial.get("model")
    name, source = dig(model, "name"), dig(model, "source")
    try:
        entry = model_info(str(name))
        if entry.own:
            return _("not shown, because it is a model of your own, which a report does not build")
        if entry.fingerprint() != source:
            return _(
                "not shown, because {name} is registered in another version now than when it was measured", name=name
            )
        shape = record.cost.shape if record.cost else (1, 0, SIDE, SIDE)
        sizes = {key: dig(model, key) for key in ("in_channels", "num_classes")}
        config = resolve_model(str(name), **sizes, options=dig(model, "options"))
        params, found = _found(config.model_dump_json(), max(shape[2:]))
    except UnetzooError as error:
        return _("not shown, because it cannot be built now: {error}", error=error)
    if record.cost and params != record.cost.params:
        return _(
            "not shown, because {name} has {now:,} parameters now, and {then:,} when it was measured",
            name=name,
            now=params,
            then=record.cost.params,
        )
    return found


@cache
def _found(config: str, side: int) -> tuple[int, Architecture]:
    """Return the number of parameters and the architecture of a network.

    Args:
        config: Its `ModelConfig` as JSON.
        side: Side of an image in px.

    Raises:
        UnetzooError: If it cannot be built.
    """
    import torch

    from unetzoo.gallery.topology import topology
    from unetzoo.measure.counts import count_parameters, side_read, stages

    network = ModelConfig.model_validate_json(config)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns that copies to the meta device have no effect
            with torch.device("meta"):
                params = count_parameters(network.build(weights=False))
            side = side_read(network, side)
            parts = stages(network, side, side)
            drawing = draw_topology(topology(network))
    except UnetzooError:
        raise
    except Exception as error:  # whatever a network or a package that changed may raise
        raise UnetzooError(one_line(error)) from None
    return params, Architecture(side, [_stage(part, side) for part in parts], drawing)


def _stage(part: Part, side: int) -> Stage:
    shape = part.shape
    if len(shape) == 3 and max(shape[1:]) <= side:
        level = log2(side / max(shape[1:])) if shape[1] else None
        return Stage(part.name, level, shape[0], f"{shape[1]}x{shape[2]}", part.params, part.macs)
    return Stage(part.name, None, None, "x".join(map(str, shape)), part.params, part.macs)
