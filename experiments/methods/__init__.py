"""One file per row of Table 2: how it trains, and how it meets a new task."""
