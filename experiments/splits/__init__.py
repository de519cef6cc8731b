"""Plain lists of the classes of each data set (package splits).

Not here: the rules that turn the lists into splits, see omniglot.py, miniimagenet.py, folders.py.
"""
