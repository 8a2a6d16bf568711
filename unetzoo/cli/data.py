"""The commands ``unetzoo data``: list data sets, describe one, download one, check your own."""

from __future__ import annotations

import typer

from unetzoo.cli.data_check import check_command
from unetzoo.cli.data_named import get_command, info_command, list_command

data_app = typer.Typer(help="Data sets: list them, describe one, download one, check your own.", no_args_is_help=True)
data_app.command("list")(list_command)
data_app.command("info")(info_command)
data_app.command("get")(get_command)
data_app.command("check")(check_command)
