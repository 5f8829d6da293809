"""Make onnxruntime-gpu's wheel small enough to carry to one kind of GPU: a quarter of it.

    python tools/slim_wheel.py WHEEL SM    # in place; SM is the compute capability: 90 for an H100 or H200

Of its CUDA library it leaves the kernels of that capability, without those that no other GPU has too (attention and
experts for large language models), and it leaves out TensorRT's provider and the library for C. To measure with, not
to run a line on: what it left out fails where it is asked for.
"""

import re
import struct
import sys
import zipfile
from pathlib import Path

CUDA = re.compile(r"libonnxruntime_providers_cuda\.so$")
LEFT_OUT = re.compile(r"/(libonnxruntime\.so[.\d]*|libonnxruntime_providers_tensorrt\.so)$")
HEAD = struct.Struct("<IHHQ")
MAGIC = HEAD.pack(0xBA55ED50, 1, HEAD.size, 0)[:8]
"""A container of kernels: such a head, with its length, then entries, whose own head says how long both are."""
OWN_HEAD_BYTES = 32
"""At least, of an entry: its capability is the last of them."""


def main() -> None:
    """Read the command line."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    wheel, sm = Path(sys.argv[1]), int(sys.argv[2])
    slim = wheel.with_suffix(".slim")
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(slim, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in whole.infolist():
            if LEFT_OUT.search(entry.filename):
                continue
            content = bytearray(whole.read(entry))
            if CUDA.search(entry.filename):
                kept, zeroed = leave(content, sm)
                if not kept:
                    slim.unlink()
                    sys.exit(f"{wheel}: it has no kernels for sm{sm}; nothing was changed.")
                print(f"{entry.filename}: {kept / 1e6:.0f} MB of kernels kept, {zeroed / 1e6:.0f} MB zeroed")
            target.writestr(entry, bytes(content))
    slim.replace(wheel)
    print(f"{wheel}: {wheel.stat().st_size / 1e6:.0f} MB")


def leave(library: bytearray, sm: int) -> tuple[int, int]:
    """Zero the kernels of other capabilities than `sm`, and those that only one has; say how many bytes stay and went.

    An entry's head stays: the driver passes over what is not its GPU's, and no address moves.
    """
    kept = zeroed = at = 0
    while (at := library.find(MAGIC, at)) >= 0:
        entries, at = _entries(library, at)
        for capability, begin, length in entries:
            if capability == sm and len(entries) > 1:
                kept += length
            else:
                library[begin : begin + length] = bytes(length)
                zeroed += length
    return kept, zeroed


def _entries(library: bytearray, at: int) -> tuple[list[tuple[int, int, int]], int]:
    """List a container's entries: capability, and where its kernels stand; and where to look for the next one.

    None where these bytes stand there by chance: what follows is no head, or does not come out even.
    """
    first = at + HEAD.size
    if first > len(library):
        return [], len(library)
    *_, size = HEAD.unpack_from(library, at)
    place, end = first, first + size
    entries = []
    while place + OWN_HEAD_BYTES <= end <= len(library):
        own_head, length = struct.unpack_from("<IQ", library, place + 4)
        (capability,) = struct.unpack_from("<I", library, place + OWN_HEAD_BYTES - 4)
        if own_head < OWN_HEAD_BYTES:
            break
        entries.append((capability, place + own_head, length))
        place += own_head + length
    return (entries, end) if place == end else ([], at + len(MAGIC))


if __name__ == "__main__":
    main()
