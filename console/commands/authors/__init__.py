"""The verbs for authors of workloads: `new-workload` and `package`.

They work on files of this machine; the verbs that start runs or look at them are one folder up.
"""
