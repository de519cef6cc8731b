"""Images and episodes: Omniglot, glyphs drawn by the program, their named splits and the episode sampler.

Not here: what a method makes of an episode.
"""
