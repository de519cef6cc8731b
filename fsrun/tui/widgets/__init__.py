"""The parts screens are made of, one file each; each shows a value it is given.

Not here: where that value comes from (fsrun.tui.database).
"""
