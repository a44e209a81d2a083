"""C sources, how they are compiled, and the library as Python calls it.

What is counted with it belongs to the workload.
"""
