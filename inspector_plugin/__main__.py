"""`python -m inspector_plugin` is the command `inspector`."""

import sys

from inspector_plugin.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
