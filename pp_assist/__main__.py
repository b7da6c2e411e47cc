"""`python -m pp_assist`"""

from pp_assist.cli import main

main()
