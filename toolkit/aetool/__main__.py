"""``python -m aetool``."""

from aetool.cli import main

main()
