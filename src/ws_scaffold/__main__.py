"""``python -m ws_scaffold``."""

import sys

from ws_scaffold.cli import main

sys.exit(main())
