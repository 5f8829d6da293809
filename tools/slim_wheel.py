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
MAGIC = struct.pack("<I", 0xBA55ED50)
"""A container of kernels: 16 bytes, then entries, of a capability each, whose own head says how long both are."""


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
        _version, head, size = struct.unpack_from("<HHQ", library, at + 4)
        place, at = at + head, at + head + size
        entries = []
        while place < at:
            own_head, length = struct.unpack_from("<IQ", library, place + 4)
            (capability,) = struct.unpack_from("<I", library, place + 28)
            entries.append((capability, place + own_head, length))
            place += own_head + length
        for capability, begin, length in entries:
            if capability == sm and len(entries) > 1:
                kept += length
            else:
                library[begin : begin + length] = bytes(length)
                zeroed += length
    return kept, zeroed


if __name__ == "__main__":
    main()
