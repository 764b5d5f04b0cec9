"""Why the job ends before its end; each error's text is a sentence for whoever started it.

JobError        refused: something must be changed
  DataError     the training data
  GateError     the new version is not good enough
Stopped         asked to stop (SIGTERM): what was done is kept, and the sentence tells how to go on
"""


class JobError(Exception):
    """The job cannot go on as it was asked to."""


class DataError(JobError):
    """The training data cannot be used."""


class GateError(JobError):
    """The new version was not pushed, since it is not good enough."""


class Stopped(Exception):
    """The job was asked to stop."""
