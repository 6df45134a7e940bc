"""Containers around a text, by Python's standard library."""

import base64
import binascii
import bz2
import email.message
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib


def zipped(content, method=zipfile.ZIP_DEFLATED, name="a.txt"):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr(name, content)
    return packed.getvalue()


def tarred(content, mode="w", form=tarfile.PAX_FORMAT):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode, format=form) as archive:
        entry = tarfile.TarInfo("a.txt")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def mailed(content, name="a.txt"):
    mail = email.message.EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.org", "b@example.org", "x"
    mail.set_content("hello")
    mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return mail.as_bytes()


def pdf(content):
    stream = zlib.compress(content)
    head = b"%%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n2 0 obj<</Type/EmbeddedFile/Filter/FlateDecode/Length %d>>\nstream\n" % len(stream)
    return head + stream + b"\nendstream\nendobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def cpio(content):
    entry = lambda name, data: (
        b"070701" + b"".join(b"%08x" % value for value in (1, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)) + name + b"\0"
    )
    padded = lambda data: data + b"\0" * (-len(data) % 4)
    return padded(entry(b"a.txt", content)) + padded(content) + padded(entry(b"TRAILER!!!", b""))


def write(folder, mark):
    """Writes them, and says their names."""
    text = b"A text around " + mark + b", and more of it.\n" * 20
    made = {
        "plain.txt": text,
        "clean.txt": b"nothing here\n",
        "clean.zip": zipped(b"nothing here\n"),
        "stored.zip": zipped(text, zipfile.ZIP_STORED),
        "deflated.zip": zipped(text),
        "bzip2.zip": zipped(text, zipfile.ZIP_BZIP2),
        "lzma.zip": zipped(text, zipfile.ZIP_LZMA),
        "v7.tar": tarred(text, form=tarfile.USTAR_FORMAT),
        "pax.tar": tarred(text),
        "a.tar.gz": tarred(text, "w:gz"),
        "a.tar.bz2": tarred(text, "w:bz2"),
        "a.tar.xz": tarred(text, "w:xz"),
        "a.txt.gz": gzip.compress(text),
        "members.gz": gzip.compress(b"nothing here\n") + gzip.compress(text),
        "a.txt.bz2": bz2.compress(text),
        "a.txt.xz": lzma.compress(text),
        "a.txt.lzma": lzma.compress(text, lzma.FORMAT_ALONE),
        "a.eml": mailed(text),
        "nested.eml": mailed(zipped(tarred(text)), "a.zip"),
        "quoted.eml": b"From: a@example.org\nSubject: x\nMIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n"
        + b"".join(b"=%02X" % byte for byte in mark) + b"\n",
        "a.pdf": pdf(text),
        "a.cpio": cpio(text),
        "a.docx": zipped(text, name="word/media/a.txt"),
        "behind.bin": b"\x7fELF" + b"\0" * 3000 + zipped(text),
        "deep.zip": zipped(zipped(zipped(zipped(text), name="c.zip"), name="b.zip"), name="a.zip"),
        "uuencoded.txt": b"begin 644 a.txt\n" + b"".join(
            binascii.b2a_uu(text[at : at + 45]) for at in range(0, len(text), 45)
        ) + b"`\nend\n",
        "base64.txt": base64.encodebytes(text),
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
    return sorted(made)
