"""Features of images, computed once by a backbone; and the tables of them that runs learn from."""
