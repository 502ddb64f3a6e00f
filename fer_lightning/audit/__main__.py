"""Command line of the audit."""

import sys

from fer_lightning.audit.audit import main

if __name__ == "__main__":
    sys.exit(main())
