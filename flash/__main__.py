"""`python -m flash`: the same as the installed `flash`."""

from flash.cli import main

main()
