"""Signatures for ClamAV that no download is needed for: a database without a digital signature, with a version and a date."""

import gzip
import hashlib
import io
import tarfile
import time

VERSION = 27821
#: Seconds since 1970: 2026-11-20T08:00:00Z.
MADE_AT = 1795161600
#: What the database finds, put together here: the repository has none of it. The standard test file (eicar.org), and a mark.
EICAR = bytes.fromhex(
    "58354f2150254041505b345c505a58353428505e2937434329377d2445494341522d5354414e444152442d414e544956495255532d544553542d46494c45"
    "2124482b482a"
)
MARK = b"-".join([b"portcullis", b"clamd", b"mark"])
UNWANTED = b"-".join([b"portcullis", b"clamd", b"unwanted"])
LATER = b"-".join([b"portcullis", b"clamd", b"later"])


def write(path, version=VERSION, more=()):
    """Writes a `.cud` (an unsigned container: `sigtool --unsigned --build` makes them alike): header of 512 bytes, tar.gz."""
    made = time.strftime("%d %b %Y %H-%M +0000", time.gmtime(MADE_AT))
    files = {
        "daily.ndb": b"".join(
            f"{name}:0:*:{pattern.hex()}\n".encode()
            for name, pattern in [("Portcullis.Mark", MARK), ("PUA.Portcullis.Unwanted", UNWANTED), *more]
        ),
        "daily.hdb": f"{hashlib.md5(EICAR).hexdigest()}:{len(EICAR)}:Portcullis.Test.File\n".encode(),
    }
    info = f"ClamAV-VDB:{made}:{version}:3:90:X:X:portcullis:{MADE_AT}\n"
    info += "".join(f"{name}:{len(text)}:{hashlib.sha256(text).hexdigest()}\n" for name, text in files.items())
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, text in {"COPYING": b"Test signatures.\n", "daily.info": info.encode(), **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            entry.mtime = MADE_AT
            tar.addfile(entry, io.BytesIO(text))
    body = gzip.compress(packed.getvalue())
    header = f"ClamAV-VDB:{made}:{version}:3:90:{hashlib.md5(body).hexdigest()}:unsigned:portcullis:{MADE_AT}"
    path.write_bytes(header.encode().ljust(512) + body)
