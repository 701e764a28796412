"""``python -m ssnan``."""

from ssnan.commands import main

raise SystemExit(main())
