"""A rank of a peer: bound to a core of its own, like mpirun binds zerorun's, before PyTorch starts its threads. Import this first."""
import os

RANK, WORLD = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
CORES = sorted(os.sched_getaffinity(0))
if WORLD <= len(CORES):
    os.sched_setaffinity(0, {CORES[RANK]})
