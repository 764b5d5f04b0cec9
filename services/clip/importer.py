"""Which Hugging Face directories `ocelli models import` makes versions of this service of: CLIP, of any size."""

from services.clip.weights import ARCHITECTURES
from shared.accel.importing import Family

FAMILY = Family("clip", ARCHITECTURES)
