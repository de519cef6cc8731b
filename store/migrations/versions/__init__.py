"""The migrations, one file each, in the order of their numbers.

Not here: the tables as they are today (store.tables).
"""
