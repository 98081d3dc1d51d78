"""Which fuzz tests an old Python leaves out."""

from __future__ import annotations

import sys

# The last schemathesis for Python 3.9 takes minutes where today's, which needs 3.11, takes seconds.
collect_ignore = ["test_fuzz_rest.py"] if sys.version_info < (3, 11) else []
