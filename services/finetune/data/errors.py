"""What ends the reading of one row; `services.finetune.errors.DataError` ends that of a whole source."""


class BrokenRow(Exception):
    """What is wrong with a row and what to do about it; at the row's place it becomes a `Problem`."""
