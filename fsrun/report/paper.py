"""What the paper prints in Table 2, and what the sources of its cells measured, as plain data.

Not here: our own measurements (table2.py). Accuracies in percent.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperRow:
    """One row of Table 2: Omniglot 20-way 1-shot, MiniImagenet 5-way 1-shot.

    `method` is the name in experiments.registry, and that of the row in experiments.table2; `source` is what
    the cited source measured for the Omniglot cell, `second_hand` if known only from others' reports of it;
    `note` says what the cell does not; `comparable` is False where it is the number of another task.
    """

    title: str
    method: str
    omniglot: float
    mini: float | None
    source: str
    note: str = ""
    second_hand: bool = False
    comparable: bool = True


N_WAY, K_SHOT = 20, 1  # of the Omniglot column

TABLE2: tuple[PaperRow, ...] = (
    PaperRow(
        title="Pixel-KNN",
        method="pixel-knn",
        omniglot=26.7,
        mini=None,
        source="26.7, as cosine",
        note="on these test classes Euclidean distance gives the cell's number, cosine does not",
        second_hand=True,
    ),
    PaperRow(
        title="MANN",
        method="mann",
        omniglot=36.4,
        mini=None,
        source="5-way: 82.8",
        note="82.8 is after one example; 36.4 is before any, also 5-way; no 20-way guess can pass 18.0",
        second_hand=True,
        comparable=False,
    ),
    PaperRow(
        title="CNN",
        method="cnn",
        omniglot=85.0,
        mini=28.8,
        source="85.0, 1-NN",
        note="from an earlier paper of the same group: nearest neighbour on features, unseen alphabets",
    ),
    PaperRow(
        title="Siamese",
        method="siamese",
        omniglot=88.1,
        mini=40.1,
        source="88.1, by others",
        note="re-implemented, fine-tuned by Vinyals et al.; Koch et al. report 92.0 within single alphabets",
        second_hand=True,
    ),
    PaperRow(
        title="Feature Shrinking",
        method="shrinking",
        omniglot=89.5,
        mini=44.0,
        source="89.5, 1-NN",
        note="from the same earlier paper as CNN; no examples were hallucinated",
    ),
    PaperRow(
        title="Matching Network",
        method="matching",
        omniglot=93.8,
        mini=46.6,
        source="93.8, cosine",
        second_hand=True,
    ),
    PaperRow(
        title="Learning to Remember",
        method="rare-events",
        omniglot=95.0,
        mini=None,
        source="95.0, 659 test",
        note="964 characters to train, 659 unturned ones to test; accuracy when a class is shown again",
    ),
    PaperRow(
        title="MAML",
        method="maml",
        omniglot=95.8,
        mini=48.7,
        source="95.8 ± 0.3",
        note="transductive: normalised by the statistics of the whole test batch",
    ),
    PaperRow(
        title="Prototypical Net",
        method="protonet",
        omniglot=96.0,
        mini=None,
        source="96.0",
        note="trained on 60-way episodes",
    ),
    PaperRow(
        title="Meta Networks",
        method="metanet",
        omniglot=97.0,
        mini=None,
        source="97.0 or 95.92",
        note="97.0 is on the 1200/423 division, 95.92 on the 964/659 one",
        second_hand=True,
    ),
    PaperRow(
        title="Temporal Conv",
        method="snail",
        omniglot=97.6,
        mini=None,
        source="97.64 ± 0.30",
    ),
    PaperRow(
        title="Fast/Slow",
        method="fastslow",
        omniglot=96.8,
        mini=48.8,
        source="no other source",
        note="964 base and 1,200 test categories cannot both hold: Omniglot has 1,623 characters",
    ),
)

PRESENTATIONS = (36.4, 82.8)
"""What MANN's source measured on the first and second image of a class among five (its Table 1)."""

FIGURE4_LOSS_RATIO = "from 0.8 to 0"
FIGURE4_FROBENIUS = "to 0 in 100,000 tasks"
