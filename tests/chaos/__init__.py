"""Nothing lost: `make chaos` torments a grid under load and judges what stands in the end.

`run.py` is the course of a run. The tormentors: `faults.py` with `grid.py`, `proxy.py`, `failpoints.py`, `mutants.py`.
The witnesses: `writers.py`, `probes.py`, `observer.py`, each a process with the stock client. The judge: `checker.py`,
pure functions over plain values, which share no code with the flow.
"""
