"""`python -m services.detection`: run the detection service."""

from services.detection.main import main

main()
