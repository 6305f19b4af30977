"""Benchmarks: aios3sync and its peers, measured on one endpoint; the package never imports this.

``python -m benchmarks`` runs, ``python -m benchmarks report results.json`` writes RESULTS.md::

    __main__ -> running -> trial -> cases, contenders, schedule, trees, measuring, checking -> record
    __main__ -> endpoints -> front, certificates, simulator; conditions
    __main__ -> peers, machine, report, overview, chart, table
"""
