"""Benchmarks: aios3sync and its peers, measured on one endpoint; the package never imports this.

``python -m benchmarks`` runs, ``python -m benchmarks report results.json`` writes RESULTS.md::

    __main__ -> running -> cases, contenders, endpoints, trees, measuring, checking -> record
    __main__ -> peers, machine, report, table, chart (in an environment of its own)
"""
