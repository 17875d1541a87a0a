"""`python -m attnas`, the same as `attnas`."""

from attnas.cli import main

main()
