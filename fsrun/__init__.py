"""Joins experiments and store: the command line, the worker, reports, the dashboard and an API for notebooks.

Not here: anything that computes a number (experiments) or keeps one (store).
"""

from fsrun.api import Curve, Result, Rows, Run, curve, results, runs

__all__ = ["Curve", "Result", "Rows", "Run", "curve", "results", "runs"]
