"""`python -m shared.cli`: the same as `ocelli`."""

from shared.cli import main

raise SystemExit(main())
