"""``unetzoo recommend``: parse, call, print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unetzoo.cli.console import err, out
from unetzoo.cli.options import AsJson, Lang
from unetzoo.errors import UnetzooError

if TYPE_CHECKING:
    from unetzoo.report.read import Report


def recommend_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with records/, or of a collection.")],
    max_params: Annotated[str | None, typer.Option(metavar="N", help="Most parameters, such as 5M.")] = None,
    max_macs: Annotated[str | None, typer.Option(metavar="N", help="Most MACs of one image, such as 10G.")] = None,
    max_latency: Annotated[
        str | None, typer.Option(metavar="TIME", help="Longest median time of a forward pass, such as 50ms.")
    ] = None,
    max_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Highest peak memory of a training step, such as 2GiB.")
    ] = None,
    max_inference_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Highest peak memory of inference, such as 500MiB.")
    ] = None,
    max_time: Annotated[str | None, typer.Option(metavar="TIME", help="Longest training, such as 10min.")] = None,
    metric: Annotated[
        str, typer.Option(metavar="NAME", help="Score to go by: dice, nsd, boundary_iou, hd95 or assd.")
    ] = "dice",
    margin: Annotated[
        float | None,
        typer.Option(help="Largest difference in Dice that does not matter, 0 or more; default: the suite's, or 0.01."),
    ] = None,
    lang: Lang = "en",
    as_json: AsJson = False,
) -> None:
    """Say which variant of a run to take under limits on its costs, how sure that is, and what it rests on.

    Of the variants that meet the limits and are not shown to be worse than the best of them, nor than one another, the
    fastest is named; of those as fast within the noise of the timings, the one with the fewest parameters.
    Costs are those measured in the run, on its machine. Nothing is trained.

    Examples:
      [bold]unetzoo recommend runs/quick[/]
      [bold]unetzoo recommend runs/quick --max-params 5M --max-latency 50ms[/]
      [bold]unetzoo recommend runs/quick --max-memory 2GiB --metric nsd --json[/]
    \f
    Raises:
        UnetzooError: If an option is not valid, the folder has no records, or no variant meets the limits.
    """
    from unetzoo._util.language import language
    from unetzoo.report.limits import read_limits
    from unetzoo.report.read import read_report

    given = {
        "max_params": max_params,
        "max_macs": max_macs,
        "max_latency": max_latency,
        "max_memory": max_memory,
        "max_inference_memory": max_inference_memory,
        "max_time": max_time,
    }
    limits = read_limits(given, dashes=True)
    with language(lang):
        _recommend(read_report(folder, margin=margin), limits, metric, as_json)


def _recommend(report: Report, limits: dict[str, float], metric: str, as_json: bool) -> None:
    if not report.members:
        found = report.advise(limits, metric)
        print(json.dumps(found.as_json(), indent=1)) if as_json else out.print(
            str(found), markup=False, highlight=False, soft_wrap=True
        )
        return
    advice, refused = {}, {}
    for label, member in report.members.items():
        try:
            advice[label] = member.advise(limits, metric)
        except UnetzooError as error:
            refused[label] = str(error)
    if not advice:
        raise UnetzooError("; ".join(f"{label}: {why}" for label, why in refused.items()))
    if as_json:
        print(json.dumps({label: found.as_json() for label, found in advice.items()} | {"refused": refused}, indent=1))
        return
    for label, found in advice.items():
        out.print(f"{label}: {found}", markup=False, highlight=False, soft_wrap=True)
    for label, why in refused.items():
        err.print(f"{label}: {why}", markup=False, highlight=False, soft_wrap=True)
