"""Runs, jobs, metrics, results and checkpoints in one database that many processes share.

Not here: anything that trains, draws or prints; time is passed in, never read.
"""
