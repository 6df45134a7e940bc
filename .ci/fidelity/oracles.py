"""What the lane `oracles` asks for: oracles.py <measure> <folder>"""

import collections
import hashlib
import json
import logging
import os
import pathlib
import random
import subprocess
import sys

import containers
import signatures
from oletools import mraptor, msodde, oleobj, ooxml, rtfobj
from oletools.olevba import VBA_Parser
from pdfid import pdfid

MEASURE, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
FILES = FOLDER / "set" / "files"
#: The same sequence each time.
CHANCE = random.Random(4711)
found_differences, compared = [], collections.Counter()


def run(*command, **more):
    environment = os.environ | {"LD_LIBRARY_PATH": os.environ["ORACLE_LIBRARIES"]} if more.pop("oracle", False) else os.environ
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, errors="replace", env=environment)
    if done.returncode not in more.get("codes", (0,)):
        sys.exit(f"FAILED: {command[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def compare(oracle, subject, theirs, ours):
    compared[oracle] += 1
    if theirs != ours:
        found_differences.append((oracle, subject, f"the oracle says {theirs}, the engines {ours}"))


def measured(folder, *options):
    """What the engines say: (threats by file and engine, rules by file)."""
    threats, hits = collections.defaultdict(set), collections.defaultdict(set)
    for line in run(MEASURE, "--list", "--hits", *options, folder).splitlines():
        parts = line.split("\t")
        if len(parts) == 3 and parts[0] == "hit":
            hits[pathlib.Path(parts[2]).name].add(parts[1])
        elif len(parts) == 3:
            threats[pathlib.Path(parts[2]).name, parts[0]].add(parts[1].split(" ", 1)[1])
    return threats, hits


# --- YARA


def yara(rules, folder):
    hits = collections.defaultdict(set)
    for line in run(os.environ["YARA"], "--no-warnings", "--recursive", rules, folder, oracle=True).splitlines():
        rule, path = line.split(" ", 1)
        hits[pathlib.Path(path).name].add(rule)
    return hits


def bundled_rules(files, ours):
    theirs, rules = collections.defaultdict(set), set()
    for source in sorted(pathlib.Path("shared/engines/rules").glob("*.yar")):
        text = source.read_text()
        rules |= {line.split()[1] for line in text.splitlines() if line.startswith("rule ")}
        # yara 4.2 does not know `pe.is_signed`, which came with 4.3.
        copy = FOLDER / source.name
        copy.write_text(text.replace("not pe.is_signed", "pe.number_of_signatures == 0"))
        for name, hit in yara(copy, FILES).items():
            theirs[name] |= hit
    for name in files:
        compare("yara", name, sorted(theirs[name]), sorted(ours[name] & rules))


def pattern(content):
    """A string of a rule, cut out of a content, in one of the ways to write it."""
    start = CHANCE.randrange(max(1, len(content) - 24))
    piece = content[start : start + CHANCE.randrange(6, 20)]
    piece = piece if len(piece) >= 6 else b"portcullis" + piece
    kind = CHANCE.randrange(5)
    if kind == 0:
        return "{ " + " ".join(f"{byte:02x}" for byte in piece) + " }"
    if kind == 1:
        wild = CHANCE.randrange(4, len(piece))
        return "{ " + " ".join("??" if at == wild else f"{byte:02x}" for at, byte in enumerate(piece)) + " 00 }".replace(" 00", "")
    if kind == 2 and len(piece) > 8:
        cut = len(piece) // 2
        return "{ " + piece[:4].hex(" ") + f" [{max(0, cut - 4)}-{cut + 2}] " + piece[cut:].hex(" ") + " }"
    text = "".join(chr(byte) if 48 <= byte < 58 or 65 <= byte < 91 or 97 <= byte < 123 else f"\\x{byte:02x}" for byte in piece)
    if kind == 3:
        return f"/{text[:-1] if text[-2:-1] != 'x' and not text.endswith(tuple('0123456789abcdef')) else text}[\\x00-\\xff]{{0,3}}/" + CHANCE.choice(["", " nocase"])
    return f'"{text}"' + CHANCE.choice(["", " nocase", " wide ascii", " fullword", " nocase ascii"])


def pack(contents, count):
    """A file of rules, cut out of contents, with what conditions can say and with modules."""
    rules = ['import "pe"', 'import "elf"', 'import "math"', 'import "hash"']
    for number in range(count):
        content = CHANCE.choice(contents)
        strings = [f"$s{n} = {pattern(content)}" for n in range(3)]
        size = len(content)
        condition = CHANCE.choice([
            "any of them", "all of them", "2 of them", "#s0 + #s1 > 2", "$s0 and not $s1 and any of ($s1, $s2)", "for any of ($s*) : (# > 1)",
            f"any of them and filesize >= {size}", f"$s0 in (0..{CHANCE.randrange(size + 1)}) and any of ($s1, $s2)",
            "for any i in (1..#s0) : (@s0[i] + !s0[i] < filesize) and any of ($s1, $s2)",
            f"any of them and uint16(0) == {int.from_bytes(content[:2], 'little')}", f"any of them and uint32be(0) == {int.from_bytes(content[:4], 'big')}",
            f"any of them and math.entropy(0, filesize) > {CHANCE.choice(['3.5', '5.0', '7.0'])}", "any of them and math.mean(0, filesize) > 90.0",
            f'any of them and hash.md5(0, filesize) == "{hashlib.md5(content).hexdigest()}"', "any of them and pe.is_pe and pe.number_of_sections > 1",
            "any of them and pe.is_pe and for any s in pe.sections : (s.characteristics & 0x80000000 != 0)",
            "any of them and pe.is_pe and pe.entry_point > 0", "any of them and elf.type == elf.ET_EXEC", "any of them and elf.number_of_segments > 1",
            # Not of shared objects: yara looks for their entry point in sections only, yara-x in segments as well.
            "any of them and elf.type == elf.ET_EXEC and elf.entry_point < filesize",
        ])
        rules.append(f"rule generated_{number} {{ strings: {' '.join(strings)} condition: {condition} or 3 of them }}")
    return "\n".join(rules) + "\n"


def generated_rules(files):
    # Not out of programs of this machine: the rules are the same everywhere.
    contents = [content for name in files if not (name.startswith("executables-") and name.endswith(".sh")) and len(content := (FILES / name).read_bytes()) > 40]
    source = FOLDER / "definitions" / "yara" / "generated.yar"
    source.parent.mkdir(parents=True)
    source.write_text(pack(contents, 300))
    _, ours = measured(FILES, "--definitions", FOLDER / "definitions")
    theirs = yara(source, FILES)
    total = 0
    for name in files:
        own = {rule for rule in ours[name] if rule.startswith("generated_")}
        total += len(own)
        compare("yara, generated rules", name, sorted(theirs[name]), sorted(own))
    if total < 300:
        sys.exit(f"FAILED: only {total} hits of generated rules: they compare nothing")
    print(f"{total} hits of 300 generated rules")


# --- oletools


def macros(path):
    """Whether macros start by themselves and write or run something, as mraptor says; None for what it does not read."""
    try:
        parser = VBA_Parser(str(path))
    except Exception:  # noqa: BLE001: whatever it raises, it does not read the file
        return None
    if not parser.detect_vba_macros():
        return False
    code = "\n".join(part[3] if isinstance(part[3], str) else part[3].decode("latin-1") for part in parser.extract_macros())
    raptor = mraptor.MacroRaptor(code)
    raptor.scan()
    return bool(raptor.suspicious)


def outside(path):
    """Parts from elsewhere that a package names, without those of its own machine."""
    try:
        found = list(oleobj.find_external_relationships(ooxml.XmlParser(str(path))))
    except Exception:  # noqa: BLE001
        return None
    return any(not target.lower().startswith("file:") for _, target in found)


def dangerous_object(data):
    parser = rtfobj.RtfObjParser(data)
    parser.parse()
    name = lambda one: (one.class_name or b"").rstrip(b"\0").lower()
    program = lambda one: one.is_package and os.path.splitext(one.filename)[1].lower() in (".vbs", ".js", ".exe")
    return any(name(one) in (b"equation.3", b"ole2link") or program(one) for one in parser.objects)


def documents(files, threats):
    for name in files:
        if not name.startswith("documents-"):
            continue
        path, own = FILES / name, " ".join(threats[name, "Documents"])
        if name.endswith((".doc", ".xls", ".docm", ".xlsm", ".odt")):
            compare("mraptor", name, bool(macros(path)), "Heur.Macro" in own or "Excel4" in own)
        if name.endswith((".docx", ".docm", ".csv", ".rtf")):
            links = msodde.process_file(str(path), msodde.FIELD_FILTER_DDE)
            compare("msodde", name, bool(links.strip()), "DDE" in own)
        if name.endswith((".docx", ".docm")):
            compare("oleobj", name, bool(outside(path)), "Remote" in own)
        if name.endswith(".rtf"):
            compare("rtfobj", name, dangerous_object(path.read_bytes()), any(word in own for word in ("Equation", "PackagedProgram", "UpdatingLink")))


# --- pdfid

ACTIVE = ("/JS", "/JavaScript", "/AA", "/OpenAction", "/Launch", "/EmbeddedFile", "/RichMedia", "/XFA")


def pdfs(files, threats, hits):
    for name in files:
        if not name.endswith(".pdf"):
            continue
        read = json.loads(pdfid.PDFiD2JSON(pdfid.PDFiD(str(FILES / name), False, True), True))[0]["pdfid"]
        names = {one["name"]: one for one in read["keywords"]["keyword"]}
        count = lambda *keys: sum(names.get(key, {"count": 0})["count"] for key in keys)
        hidden = sum(names[key]["hexcodecount"] for key in ACTIVE if key in names)
        own = threats[name, "PDF"]
        if not hidden:
            theirs = count("/JS", "/JavaScript") > 0 and count("/OpenAction", "/AA") > 0
            compare("pdfid, automatic scripts", name, theirs, "PDF_Automatic_Script" in hits[name])
        compare("pdfid, hidden names", name, hidden > 0, "Heur.PDF.HiddenNames" in own)
        # What is found has to be seen by both; what is only seen is no finding.
        if own:
            compare("pdfid, actions", name, count(*ACTIVE) > 0, True)


# --- ClamAV


def unpacked():
    """The same mark in containers: both look into them, or neither."""
    folder, database = FOLDER / "containers", FOLDER / "signatures"
    for place in (folder, database):
        place.mkdir()
    signatures.write(database / "daily.cud")
    names = containers.write(folder, signatures.MARK)
    definitions = FOLDER / "marks" / "yara"
    definitions.mkdir(parents=True)
    (definitions / "mark.yar").write_text(f"rule mark {{ strings: $a = {{ {signatures.MARK.hex()} }} condition: $a }}\n")
    _, ours = measured(folder, "--deep", "--definitions", definitions.parent)
    said = run(os.environ["CLAMSCAN"], "--database", database, "--no-summary", "--recursive", folder, oracle=True, codes=(0, 1))
    theirs = {pathlib.Path(line.rsplit(": ", 1)[0]).name for line in said.splitlines() if line.endswith("FOUND")}
    for name in names:
        compare("clamscan", name, name in theirs, "mark" in ours[name])


def packers():
    """One program, packed by nine real packers, and as it is."""
    folder = pathlib.Path(os.environ["TESTFILES"])
    threats, _ = measured(folder)
    for name in ("aspack", "fsg", "mew", "pespin", "petite", "upack", "upx", "wwpack", "yc"):
        compare("packers", f"clam-{name}.exe", True, bool(threats[f"clam-{name}.exe", "Executables"]))
    compare("packers", "clam.exe", False, bool(threats["clam.exe", "Executables"]))


logging.disable(logging.CRITICAL)
run(MEASURE, "--write", FOLDER / "set")
files = sorted(os.listdir(FILES))
_, hits = measured(FILES)
threats, _ = measured(FILES, "--deep")
bundled_rules(files, hits)
generated_rules(files)
documents(files, threats)
pdfs(files, threats, hits)
unpacked()
packers()

lines = pathlib.Path(".ci/fidelity/differences.txt").read_text().splitlines()
known = {tuple(line.split("\t")[:2]) for line in lines if line and not line.startswith("#")}
for oracle, count in compared.items():
    print(f"{oracle}: {count} compared, {sum(one[0] == oracle for one in found_differences)} differ")
wrong = [f"{oracle}\t{subject}\t{what}" for oracle, subject, what in found_differences if (oracle, subject) not in known]
stale = known - {one[:2] for one in found_differences}
wrong += ["\t".join(one) + "\tstands in the list, but there is no difference" for one in sorted(stale)]
sys.exit("\n".join(wrong) if wrong else 0)
