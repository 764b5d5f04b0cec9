"""What the service and the bare side are asked alike: labels, and the least score of an answer."""

THRESHOLD = 0.9  # nearly nothing of random weights passes, so neither side sorts boxes that the other does not

# Words of a few letters: the vocabulary of a random network has letters only, and a phrase at most 16 tokens.
LABELS = (
    "cat", "dog", "owl", "horse", "sheep", "cow", "bear", "zebra", "bird", "car",
    "bus", "train", "truck", "boat", "bench", "kite", "cup", "fork", "knife", "chair",
)  # fmt: skip
