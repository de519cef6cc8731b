"""Where each row's number in Table 2 comes from, and how the row is trained and tested here, as plain data.

Not here: the numbers themselves (paper.py, measured.py). Accuracies in percent.
"""

from experiments.errors import unknown_name

PROTOCOL = """
Every row is tested here on the same numbered episodes: 5 or 20 of the 1,692 test classes (423 characters,
each in four turns, as classes of their own), one or five support images and five queries of each.
"""

# Paragraphs, an empty line between them: where the paper's number is from, then what is done here.
STORIES: dict[str, str] = {
    "pixel-knn": """
The cell is Vinyals et al.'s baseline on raw pixels, on 1,200 characters to train and 423 to test.

They call the distance cosine; on the 423 characters of the list that was released later, squared
Euclidean distance gives their number and cosine does not.

Here: nearest support image, ink = 1, nothing trained; `distance` chooses l2 or cosine.
""",
    "mann": """
The cell is not a 20-way number and not one of one-shot recognition: 36.4 is Santoro et al.'s accuracy on
images of classes not shown before, among five. After one example it is 82.8. Before any example only the
labels already taken can be ruled out, which no method can turn into more than 45.7 among 5 or 18.0 among 20.

Images come one after the other, each with the label of the one before; an LSTM writes to a memory where it
was used least. Nothing in that paper is 20-way with one label per class.

Here: `accuracy` shows the support, then each query alone to a copy of the memory. The source's two numbers
are `first_presentation` and `second_presentation`, which runs with `training=sequences` measure besides:
`--n-way 5`, preset paper, is its experiment.

The presets cpu and quick put conv4 in front of the memory and train on episodes like those tested, from 5
classes up (`encoder`, `training`, `curriculum`): the source's recipe is known to learn 20 classes poorly.
`fsrun queue table2` makes both, as rows of their own.
""",
    "cnn": """
The Omniglot cell is from an earlier paper of the same group: a softmax classifier of the 964 background
characters, then the nearest support image by the Euclidean distance of features.

The MiniImagenet cell is another method: Ravi & Larochelle's classifier whose layers are all fine-tuned on
five images, which fits them too well and does worse than their own nearest neighbour.

Here: the first by default, stopped after about five times through the images, since longer training makes
features of unseen characters worse; the second is the row `cnn-fine-tuned` (`test=fine-tune`), and the row
`cnn-linear` fits a classifier to features that stay as they are. One training serves all three.
""",
    "siamese": """
Koch et al. tell whether two images show the same character; their own 92.0 is a test within single
alphabets, one drawer against another.

The cell is Vinyals et al.'s re-implementation with their own network, 20 classes from any alphabets,
fine-tuned on the support: 88.1, and 88.0 without.

Here: twin conv4 networks on pairs, half of them alike, half of the unlike ones from one alphabet; the
learned weighted distance decides. `network=koch` is the original, on images enlarged to its size.
""",
    "shrinking": """
The Omniglot cell is from the same earlier paper as the CNN's: the CNN's training with a penalty on the
gradient of each example, nearest neighbour at test. No examples were made up, although the method's own
paper is better known for that.

For the MiniImagenet cell no source is known.

Here: the same, with the penalty's weight of that paper; `hallucinate=5` with `generator_steps` adds
examples made up by analogy, and fits a classifier to them.
""",
    "matching": """
The Omniglot cell is the source's own, by cosine without full context embeddings and without fine-tuning.

The MiniImagenet cell is with both, on a division of the classes that was never released; on the usual one
the same method reaches 43.4 to 43.6.

Here: cosines times 10 before the softmax, because of plain ones no 20-way answer can be surer than 28 %;
`scale=1` is the text to the letter. `fce=true` adds full context embeddings.
""",
    "rare-events": """
The cell is the source's own: trained on the 964 background characters in four turns, tested on the 659
others unturned, when a class is seen for the second time while the memory goes on being written.

A memory keeps a key for each example. A right answer moves the nearest key towards the query, a wrong one
overwrites an old slot; only the network that makes keys is trained, by a margin between cosines.

Here: `accuracy` writes the support into an empty memory and leaves it alone, `online` writes the queries
too, one by one, as the source does. The preset paper has its network, cpu and quick have conv4.
""",
    "maml": """
The cell is the source's own. Its networks normalise by the statistics of the whole batch they are tested
on, one image of every class, so the queries of a task help each other.

Methods that classify one image at a time cannot do that: `batch_norm=support` is the comparable way,
`batch_norm=queries` that of the source.

Others who rebuilt it reached 91 to 92; learned rates (`learned_rates`) and a loss on every inner step
(`multi_step`) are later additions that close the gap.

Here: five steps on the support, the gradient through all of them (`first_order` leaves that out), trained
for as many ways as it is tested on. The row "head only" is ANIL (Raghu et al. 2020): the features stay as
they are in a task, its head starts at zeros, and each image of a batch is once the support.
""",
    "cnn-nn": """
Not in the paper's table: it says how much of Fast/Slow's number is that of its pre-training. The paper's
Figure 5 compares Fast/Slow with the nearest image on such features.

Here: the pre-trained features of Fast/Slow, at length 1, and the nearest class mean; nothing is adapted.
Fast/Slow starts each task from the same means, and only what it adds to them is due to g and to the slow
updates.
""",
    "coordinate-lstm": """
Not in the paper's table: the learned optimiser that the paper takes for its fast learner, here as the
optimiser of all layers instead of the last. No one-shot numbers of it on Omniglot were published.

One small LSTM moves every weight by what it sees of that weight's own gradient; ten steps on the support.

Here: it is trained by the loss of fresh images after each step, because trained on the support it learns to
fit the support. The preset paper starts each task from random weights, as Andrychowicz et al. do; cpu and
quick learn where to start as well, and begin as plain gradient descent (`start`, `skip_lr`).
""",
    "meta-lstm": """
Not in the paper's table, but the origin of its MiniImagenet protocol (43.44 there, 5-way 1-shot); no
Omniglot number was published.

An LSTM whose cell state is the network's weights replaces gradient descent on the support; where the
weights start is learned with it.

Here: 12 steps on the whole support; the queries are normalised by the support's statistics.
""",
    "protonet": """
The cell is the source's own, from a network trained on 60-way episodes and tested 20-way; trained 20-way
it loses about a point.

The source trained once more on the validation classes after its choices were made; here they stay held
out unless `holdout=false`.

For MiniImagenet the source has a number (49.42) that the paper's table leaves out.
""",
    "metanet": """
The cell is the source's own on 1,200 characters to train and 423 to test; on 964 and 659 it reports 95.92.
Its tests turn no characters.

Gradients of the support are turned into a second, fast set of weights beside the slow ones, one set for each
support image, mixed for each query by attention. The gradients are inputs and not differentiated.

Here: the source's network of five convolutions without normalisation; the presets cpu and quick have half
its filters and ask two queries of a class instead of ten.
""",
    "snail": """
The cell is the same in both versions of its source, with attention (SNAIL, the default here) and without
(`variant=tcml`), from a model trained for one to five shots at once.

The support is a sequence of images and labels in random order, the query its last element. Queries never
see each other: the sequence is computed once, and each query is its own next element.

Dilations printed in the paper (2, 4, 8, ...) would leave out every second element of the support; the
default is 1, 2, 4, ..., and `dilations=printed` the other. The presets cpu and quick train for the tested
shots alone, with a query of every class.
""",
    "fastslow": """
The paper's own row. Its 964 base classes and 1,200 test categories cannot both be had: Omniglot has 1,623
characters.

Here: the released list of 1,200 taken apart into 964 base and 236 meta classes, so that the 423 test
characters are those of the other rows.

Pre-trained on the base classes, meta-trained on the meta classes; at test W_fc alone is adapted.
""",
}


def story(method: str) -> tuple[str, ...]:
    """Return the paragraphs on a row, the last one on what all rows share; ConfigError for no such row."""
    if method not in STORIES:
        raise unknown_name("row", method, STORIES)
    return tuple(" ".join(part.split()) for part in (*STORIES[method].split("\n\n"), PROTOCOL))
