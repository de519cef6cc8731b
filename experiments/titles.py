"""What the methods are called in the paper's tables: what lists runs needs no more, and loads nothing for it.

Not here: everything else about them (registry.py).
"""

TITLES: dict[str, str] = {
    "pixel-knn": "Pixel-KNN",
    "mann": "MANN",
    "cnn-nn": "CNN 1-NN",
    "cnn": "CNN",
    "siamese": "Siamese",
    "shrinking": "Feature Shrinking",
    "matching": "Matching Network",
    "rare-events": "Learning to Remember",
    "maml": "MAML",
    "protonet": "Prototypical Net",
    "metanet": "Meta Networks",
    "snail": "Temporal Conv",
    "coordinate-lstm": "Coordinate-wise LSTM",
    "meta-lstm": "Meta-LSTM",
    "fastslow": "Fast/Slow",
    "pretrain": "Pre-training",
    "linear": "Linear fast/slow",
}
