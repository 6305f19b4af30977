"""Runs one command and writes its wall time, CPU and peak memory to a file; imports next to nothing.

It is a process of its own because Linux counts the memory of the parent in ``ru_maxrss`` of a child: the
memory of this process is the least that can be measured. Usage: ``stopwatch.py RESULT PROGRAM ARGUMENT...``.
"""

import os
import sys
import time


def main(result: str, command: list[str]) -> int:
    """Run the command and write its cost; its exit code is in the result file, negative for a signal."""
    began = time.perf_counter()
    process = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(process, 0)
    wall = time.perf_counter() - began
    code = os.waitstatus_to_exitcode(status)
    with open(result, "w") as file:
        file.write(f"{wall} {usage.ru_utime} {usage.ru_stime} {usage.ru_maxrss} {code}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
