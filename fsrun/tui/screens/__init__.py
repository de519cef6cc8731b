"""The screens, one file each.

Not here: the parts they are made of (fsrun.tui.widgets).
"""
