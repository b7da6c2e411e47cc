"""python -m pp_server"""

import sys

from pp_server.cli import main

sys.exit(main())
