"""The command line ``unetzoo``: parse, call, print."""

from __future__ import annotations

import sys

import typer
from rich.markup import escape

from unetzoo._util.text import shortened
from unetzoo.cli.bench import bench_command, plan_command, report_command
from unetzoo.cli.console import err
from unetzoo.cli.data import data_app
from unetzoo.cli.export import export_command
from unetzoo.cli.models import list_command, profile_command, show_command
from unetzoo.cli.predict import predict_command
from unetzoo.errors import UnetzooError

LONGEST = 10_000  # characters of an error on the terminal

app = typer.Typer(
    help="Which U-Net should I use, and what does it cost me?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.add_typer(data_app, name="data")
app.command("list")(list_command)
app.command("show")(show_command)
app.command("bench")(bench_command)
app.command("plan")(plan_command)
app.command("profile")(profile_command)
app.command("report")(report_command)
app.command("predict")(predict_command)
app.command("export")(export_command)


def main() -> None:
    """Run the command line; a user's mistake becomes one line and exit code 2."""
    try:
        app()
    except UnetzooError as error:
        err.print(f"[red]error:[/] {escape(shortened(str(error), LONGEST))}", soft_wrap=True, highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
