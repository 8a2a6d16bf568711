"""``python -m unetzoo.cli``."""

from unetzoo.cli.main import main

main()
