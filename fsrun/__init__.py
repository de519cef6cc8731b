"""Joins experiments and store: the command line, the worker, reports and the dashboard.

Not here: anything that computes a number (experiments) or keeps one (store).
"""
