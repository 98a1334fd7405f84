"""What pytest leaves out where an optional extra is not installed."""

from __future__ import annotations

import importlib.util

# The examples in the docstrings of the networks need Keras; their other tests say why they skip.
collect_ignore_glob = [] if importlib.util.find_spec("keras") else ["sercourse/networks/*.py"]
