"""The command line ``unetzoo``: parse, call, print."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand

LONGEST = 10_000  # characters of an error on the terminal
COMMANDS = {  # name -> module, function or group, and its line in `unetzoo --help`
    "list": ("models", "list_command", "List the registered models."),
    "show": (
        "show",
        "show_command",
        "Show a model: its paper, options and stages; or two models side by side.",
    ),
    "bench": (
        "bench",
        "bench_command",
        "Train and measure models under one protocol, on one or several data sets, and write the report.",
    ),
    "plan": (
        "bench",
        "plan_command",
        "Predict the cost of a suite before it runs: memory, time, whether it fits, and the largest batch that does.",
    ),
    "profile": (
        "models",
        "profile_command",
        "Show parameters, MACs, memory in training and inference, latency and the largest batch of one model.",
    ),
    "trial": (
        "cluster",
        "trial_command",
        "Run one trial of a prepared run; it continues from its checkpoint if it was stopped.",
    ),
    "status": (
        "cluster",
        "status_command",
        "Show the trials of a run from its files alone: done, running, stale, stopped, failed or waiting.",
    ),
    "report": (
        "report",
        "report_command",
        "Write the report again from the records of a folder, or one report of several runs side by side.",
    ),
    "export-runs": (
        "track",
        "export_runs_command",
        "Write the records of a run that is over to a tracker; what it has already is not written again.",
    ),
    "recommend": (
        "recommend",
        "recommend_command",
        "Say which variant of a run to take under limits on its costs, how sure that is, and what it rests on.",
    ),
    "predict": ("predict", "predict_command", "Segment images of any size with a trained model."),
    "export": ("export", "export_command", "Export a model for other runtimes: ONNX, OpenVINO or torch.export."),
    "compare": (
        "compare",
        "compare_command",
        "Say what changed between two runs, or tell slowdowns from noise in two speed reports.",
    ),
    "claims": (
        "claims",
        "claims_command",
        "Measure what is said of U-Net, sentence by sentence, and write a page with the verdicts.",
    ),
    "data": ("data", "data_app", "Data sets: list them, describe one, download one, check your own."),
}


def build(only: str | None = None) -> typer.Typer:
    """Return the command line.

    Args:
        only: Name of the one command to import; of the others, whose imports take most of the time of a start, only the
            lines of ``--help`` are there. None imports all.
    """
    app = typer.Typer(
        help="Which U-Net should I use, and what does it cost me?",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    for name, (module, attribute, line) in COMMANDS.items():
        if only not in (None, name):
            app.command(name, help=line)(_not_imported)
            continue
        found = getattr(import_module(f"unetzoo.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name, cls=_command_class(name))(found)
    return app


def _command_class(name: str) -> type[TyperCommand] | None:
    """Return the class of a command with an option that may stand without its value; None for the usual one."""
    if name not in ("report", "bench"):
        return None
    from unetzoo.cli.bare_option import BenchCommand, ReportCommand

    return ReportCommand if name == "report" else BenchCommand


def _not_imported() -> None:
    raise AssertionError("a command that was not asked for was called")


def __getattr__(name: str) -> Any:
    """Return ``app``, the whole command line, which is made on first use."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = app = build()
    return app


def main() -> None:
    """Run the command line; a user's mistake becomes one line and exit code 2."""
    try:
        build(next((word for word in sys.argv[1:] if not word.startswith("-")), ""))()
    except ValueError as error:
        from unetzoo.errors import UnetzooError  # imports pydantic

        if not isinstance(error, UnetzooError):
            raise
        from rich.markup import escape

        from unetzoo._util.text import shortened
        from unetzoo.cli.console import err

        err.print(f"[red]error:[/] {escape(shortened(str(error), LONGEST))}", soft_wrap=True, highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
