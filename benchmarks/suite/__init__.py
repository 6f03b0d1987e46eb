"""Every workload beside every peer that is installed: `python -m benchmarks.suite`, and the page that it writes.

    registry.py   what a workload is, and a program as one peer has it; the peers
    groups/       the workloads, from the programs that stand elsewhere in benchmarks/
    peers.py      how a program is built for each peer; native.py for C++, peer_dace.py for DaCe
    measures.py   medians, first calls, peaks of memory, digests of results: of the process that calls them
    cell.py       one pair of workload and peer, in a process of its own
    runner.py     these processes, one after the other, with their limits; machine.py says where
    results.py    what they found, as lines of JSON; page.py, plots.py and readme.py show it

A workload is added by a row in a module of groups/: a name, arguments at a size, and for each peer what builds its
`Program`, two functions of the arguments.  A peer is a row of `PEERS` and a builder.
"""
