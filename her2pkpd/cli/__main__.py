"""``python -m her2pkpd.cli``."""

import sys

from her2pkpd.cli import main

sys.exit(main())
