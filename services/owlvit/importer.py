"""Which Hugging Face directories `ocelli models import` makes versions of this service of: OWL-ViT and OWLv2."""

from services.owlvit.weights import ARCHITECTURES
from shared.accel.importing import Family

FAMILY = Family("owlvit", ARCHITECTURES, reads_highest=True)
