"""Which Hugging Face directories `ocelli models import` makes versions of this service of: LLaVA-1.5, of any size."""

from services.llava.weights import ARCHITECTURES, RENAMES
from shared.accel.importing import Family

FAMILY = Family("llava", ARCHITECTURES, goes_on=True, renames=RENAMES)
