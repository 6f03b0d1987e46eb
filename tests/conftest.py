"""What every test process begins with, unless the environment says otherwise.

Correctness is tested at LLVM's lowest level; a test that is about another one says so.  OpenBLAS gets one thread: the
matrices of tests are small, and as many processes as cores would wait for one another's threads.
"""

import os

os.environ.setdefault("IVERSON_LEVEL", "0")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
