"""Read the JSON of a photo, of this version or an older one."""

from __future__ import annotations

import json
from typing import cast

from ssnan.errors import UserError
from ssnan.results.document import VERSION, Document


def read_document(content: str | bytes) -> Document:
    """The contents of a photo from its JSON. Version 1 told how many people there are, but not who is who: its
    ``people`` becomes ``count``, and the list of people is empty.

    Raises:
        UserError: it is not such a JSON, or of a newer version.
    """
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not JSON ({' '.join(str(error).split())[:200]})") from None
    version = values.get("version") if isinstance(values, dict) else None
    if version == 1:
        values |= {"version": VERSION, "count": values.get("people"), "people": []}
    elif version != VERSION:
        raise UserError(f"expected the JSON of a photo, version 1 or {VERSION}, got version {str(version)[:20]}")
    for key, kind in (("label_set", str), ("width", int), ("height", int), ("parts", dict)):
        if not isinstance(values.get(key), kind):
            raise UserError(f"expected the JSON of a photo, but {key!r} is {str(values.get(key))[:20]}")
    return cast(Document, values)
