"""The command line: python -m minidiff VERB. A table of verbs; each names the function it calls."""

import sys

from minidiff.cli import main

if __name__ == "__main__":
    sys.exit(main())
