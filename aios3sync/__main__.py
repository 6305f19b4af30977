"""``python -m aios3sync`` and the console script: hands over to the command line, nothing else."""

from __future__ import annotations

import gc
import sys

__all__ = ("main",)


def main() -> int:
    """Run the command line with the arguments of this process; returns its exit code."""
    # A sync makes millions of small tuples that no cycle holds together. Looking for cycles as often as the
    # interpreter does by default costs a seventh of an upload's time, and a quarter of a listing's.
    gc.set_threshold(50_000, 20, 50)
    try:
        from aios3sync.cli.main import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:  # while modules were still loading: nothing was begun
        return 130
    finally:
        # The interpreter looks for cycles several times while it ends, in every module and class that was
        # loaded. The process ends anyway: what is frozen is not looked at, which saves some milliseconds.
        gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
