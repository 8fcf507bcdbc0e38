# SPDX-License-Identifier: Apache-2.0
"""`python -m greengrass_sdk` is the command `greengrass`."""

import sys

from greengrass_sdk.cli import main

if __name__ == "__main__":
    sys.exit(main())
