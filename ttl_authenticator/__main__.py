"""``python -m ttl_authenticator``: the command line. Kept to old syntax, like cli."""

import sys

from .cli import main

sys.exit(main())
