"""What every test has: one thread for torch, and no settings from outside."""

import os

os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")
for variable in [name for name in os.environ if name.startswith("OCELLI_")]:
    del os.environ[variable]
