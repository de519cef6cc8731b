"""Images and episodes: Omniglot, mini-ImageNet, glyphs drawn by the program, their splits, the sampler.

Not here: what a method makes of an episode.
"""
