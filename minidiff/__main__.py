"""The command line: python -m minidiff VERB. A table of verbs; each names the function it calls."""

import sys

OLDEST = (3, 10)

if __name__ == "__main__":
    if sys.version_info < OLDEST:  # in words that older ones understand, before they read the rest
        found = "%d.%d" % sys.version_info[:2]  # noqa: UP031
        sys.stderr.write("minidiff: needs Python 3.10 or newer, and this is %s\n" % found)  # noqa: UP031
        sys.exit(2)
    try:
        from minidiff.cli import main
        from minidiff.io.surroundings import settle
    except KeyboardInterrupt:  # nothing has begun
        sys.exit(130)

    settle()
    sys.exit(main())
