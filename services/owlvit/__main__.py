"""`python -m services.owlvit`: run the open-vocabulary detection service."""

from services.owlvit.main import main

main()
