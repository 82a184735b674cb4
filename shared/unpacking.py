"""msgpack from somebody who may mean ill: bounded in bytes, in items, and in what a head may claim.

A list of nothing takes one byte and becomes some sixty in memory, and a head of five bytes may claim a list of 2^32
items: so items are counted while they are read, and no list or map is longer than all of them together.
"""

from __future__ import annotations

from typing import Any

import msgpack


class UnpackError(ValueError):
    """Bytes that are no msgpack, or more of it than is taken."""


def unpack(data: bytes, most_bytes: int, most_items: int) -> Any:
    """Plain data: maps with text as keys, lists, text, bytes, numbers, booleans and None.

    `most_items` bounds the entries of all lists and maps, and their number, together.

    Raises:
        UnpackError: see the class.
    """
    if len(data) > most_bytes:
        raise UnpackError(f"{len(data)} bytes; at most {most_bytes} are taken")
    left = most_items

    def counted(items: Any) -> Any:
        nonlocal left
        left -= 1 + len(items)
        if left < 0:
            raise UnpackError(f"more than {most_items} items")
        return items

    most = min(len(data), most_items)
    bounds = {"max_array_len": most, "max_map_len": most, "max_ext_len": 0}
    try:
        return msgpack.unpackb(
            data, raw=False, strict_map_key=True, use_list=True, list_hook=counted, object_hook=counted, **bounds
        )
    except UnpackError:
        raise
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise UnpackError("no msgpack") from error
