"""`python -m tropism`, for torchrun and for machines where the script is not on the path."""

from tropism.cli import main

main()
