"""`python -m benchmarks.gradbench`: a tool of GradBench, speaking its protocol over standard input and output.

`python -m benchmarks.gradbench --own [evaluation...]` times the evaluations alone, beside a plain C++ program and what
others are known to reach.
"""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--own"]:
        from benchmarks.gradbench.own import compare

        compare(arguments[1:])
    elif arguments:
        sys.exit(__doc__)
    else:
        from benchmarks.gradbench.protocol import serve

        serve(sys.stdin, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
