"""Measures aios3sync beside its peers on one endpoint; nothing of the package may import this.

``python -m benchmarks`` runs, ``python -m benchmarks report results.json`` writes RESULTS.md::

    __main__ -> running -> cases, contenders, endpoints, trees, measuring, checking -> record
    __main__ -> peers, machine, report, table, chart (in an environment of its own)
"""
