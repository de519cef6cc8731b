"""`python -m fsrun`, where the command itself is not on the path."""

from fsrun.cli import main

main()
