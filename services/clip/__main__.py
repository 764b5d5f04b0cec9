"""`python -m services.clip`: run the CLIP service."""

from services.clip.main import main

main()
