"""`python -m local serve|up|down|status`."""

import sys

from local.commands import main

if __name__ == "__main__":
    sys.exit(main())
