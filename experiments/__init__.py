"""Turns a config into numbers: data, models, learners, methods and the training loop.

Knows torch; knows no database, no queue and no screen.
"""
