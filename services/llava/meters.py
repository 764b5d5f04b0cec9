"""What one served LLaVA counts: tokens, answers by reason, and what was found in memory."""

from services.llava.scheduler import Scheduler
from services.llava.sequence import Sequence
from services.llava.speaker import Said
from shared.serving import metrics


class Meters:
    """The metrics of one set of weights, under the name that they serve."""

    def __init__(self, model: str, scheduler: Scheduler) -> None:
        self._prompt, self._said = metrics.PROMPT_TOKENS.labels(model), metrics.GENERATION_TOKENS.labels(model)
        self._ended = {end: metrics.ANSWERS.labels(model, end) for end in ("stop", "length")}
        self._looked_up, self._found = metrics.PREFIX_QUERIES.labels(model), metrics.PREFIX_HITS.labels(model)
        self._preemptions, self._seen = metrics.PREEMPTIONS.labels(model), 0
        self._scheduler = scheduler

    def count(self, said: Said) -> None:
        """Count a token, and the prompt with the first one."""
        if said.choice is not None:
            self._said.inc()
            if said.row.said == 1:
                self._first(said.row)
        if said.end in self._ended:
            self._ended[said.end].inc()
        if self._scheduler.preempted > self._seen:
            self._preemptions.inc(self._scheduler.preempted - self._seen)
            self._seen = self._scheduler.preempted

    def _first(self, row: Sequence) -> None:
        self._prompt.inc(len(row.prompt.tokens))
        self._looked_up.inc(len(row.prompt.tokens))
        self._found.inc(row.reused)
