"""Networks: each has a slow part (backbone) and leaves the fast part (head) to the method."""
