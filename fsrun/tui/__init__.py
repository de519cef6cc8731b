"""The dashboard: runs, their curves and the accuracy table, live from the database, in a terminal.

Not here: anything that trains, and any SQL.
"""
