"""``python -m study measure|render``: see `study.command`."""

import sys

from study.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
