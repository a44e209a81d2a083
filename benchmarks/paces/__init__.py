"""How many seconds the built-in workloads take for an item and for its bytes: what their records say.

`__main__.py` measures, `sources.py` has what is worked, `server.py` where it lies, `child.py` the job that works it.
"""
