"""Run the LLaVA service: `python -m services.llava`."""

from services.llava.main import main

main()
