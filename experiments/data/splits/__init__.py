"""Plain lists of the classes of each data set (package data).

Not here: the rules that turn the lists into splits, see protocols.py.
"""
