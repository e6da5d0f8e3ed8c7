"""Ownership by schedules: the real leases, turns, feeds, positions and proof, on a clock and a grid of our own.

Not simulated, but run as they are: `node/worker/life.py` with its heartbeat, `grid/leases.py`, `grid/topology.py`, the
answers, repeats and `allows` of `grid/link/link.py`, the codecs of `wire/`, and all of `flow/` on the way of a record.
Simulated: time and threads (`loop.py`), the members with their maps and journals (`members.py`), what lies between
(`network.py`), the stock client and the model (`stand_ins.py`). `plan.py` makes a schedule of a seed, `run.py` carries
it out, `judge.py` holds each step and the end against I1 to I8, `mutants.py` takes fixes out.

Not covered: loss of a member and its backups, migrations, listeners as a trigger, topics, shadows, canaries, promotion,
models that hang or crash, memory.
"""
