"""Run `python -m atnet.cli`."""

from atnet.cli.app import main

main()
