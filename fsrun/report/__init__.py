"""What the stored results say, as the paper's tables and figures.

Not here: measuring anything; every number comes from a finished or running run in the store.
"""
