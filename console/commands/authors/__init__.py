"""The verbs for authors of workloads: `new-workload` and `package`.

They work on files of this machine; verbs that start runs or look at them lie one folder up.
"""
