"""What the lane `clamd` asks for: clamd.py <portcullis> <clamd> <folder>"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import signatures

PORTCULLIS, CLAMD, FOLDER = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
KEY = "portcullis-ci-admin-key"
STREAM_MAX = 1 << 20
FILE_MAX = 600_000


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until(what, seconds, ask):
    end = time.monotonic() + seconds
    while True:
        try:
            if found := ask():
                return found
        except OSError:
            pass
        if time.monotonic() > end:
            sys.exit(f"FAILED: {what} within {seconds} s")
        time.sleep(0.1)


class Clamd:
    def __init__(self):
        self.socket, self.port = FOLDER / "clamd.sock", free_port()
        database = self.database = FOLDER / "signatures"
        database.mkdir()
        signatures.write(database / "daily.cud")
        self.conf = FOLDER / "clamd.conf"
        # The configuration that is deployed, in another place and with smaller limits. Its AlertExceedsMax matters: without it
        # clamd calls OK what is beyond its limits (clamd.conf(5)).
        own = {
            "LocalSocket": self.socket, "TCPSocket": self.port, "TCPAddr": "127.0.0.1", "DatabaseDirectory": database,
            "TemporaryDirectory": FOLDER, "StreamMaxLength": STREAM_MAX, "MaxFileSize": FILE_MAX, "DetectPUA": "yes",
        }
        deployed = pathlib.Path("infra/clamav/clamd.conf").read_text().splitlines()
        kept = [line for line in deployed if line.split(" ")[0] not in own]
        self.conf.write_text("\n".join(kept + [f"{key} {value}" for key, value in own.items()]) + "\n")
        self.start()

    def start(self):
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen([CLAMD, "-c", self.conf], stdout=subprocess.DEVNULL)
        print(until("clamd answers", 60, self.version))

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(str(self.socket))
            one.sendall(b"z%s\0" % command)
            return one.recv(1000).rstrip(b"\0").decode()

    def version(self):
        return self.ask(b"VERSION")

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Host:
    """The program on a port of its own, with a clamd to ask."""

    def __init__(self, name, address):
        port, aws = free_port(), free_port()
        self.url = f"http://127.0.0.1:{port}"
        environment = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH"}
        environment |= {"PORTCULLIS_CLAMD": address, "PORTCULLIS_ADMIN_APIKEY": KEY}
        self.log = FOLDER / f"{name}.log"
        self.process = subprocess.Popen(
            [PORTCULLIS, "--port", str(port), "--aws-port", str(aws), "--data-dir", FOLDER / name],
            env=environment, stdout=self.log.open("wb"), stderr=subprocess.STDOUT,
        )
        until("the host answers", 60, lambda: self.ask("/version"))

    def ask(self, path, body=None, **headers):
        request = urllib.request.Request(self.url + path, data=body, headers={"apikey": KEY, **headers})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def submit(self, name, content):
        return self.ask("/file", content, filename=name)["data_id"]

    def result(self, data_id):
        """The end of a scan, within a minute."""
        ended = lambda: (found := self.ask(f"/file/{data_id}"))["process_info"]["progress_percentage"] == 100 and found
        found = until(f"the end of {data_id}", 60, ended)
        return found["process_info"]["result"], found["scan_results"]["scan_all_result_i"], found["scan_results"]["scan_details"]["ClamAV"]

    def scan(self, name, content):
        return self.result(self.submit(name, content))

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


def check(what, found, wanted):
    if found != wanted:
        sys.exit(f"FAILED: {what}: {found}, not {wanted}")
    print(f"ok: {what}: {found}")


def verdict(scanned):
    result, code, row = scanned
    return result, code, row["scan_result_i"], row["threat_found"]


def finds_and_lets_pass(host):
    found = host.scan("test.com", signatures.EICAR)
    check("the test file", verdict(found), ("Blocked", 1, 1, "Portcullis.Test.File.UNOFFICIAL"))
    check("the date of the signatures", found[2]["def_time"], "2026-11-20T08:00:00.000Z")
    check("a mark in a text", verdict(host.scan("a.txt", b"text with " + signatures.MARK)), ("Blocked", 1, 1, "Portcullis.Mark.UNOFFICIAL"))
    check("a clean file", verdict(host.scan("a.txt", b"just a text, " + os.urandom(8).hex().encode())), ("Allowed", 0, 0, ""))


def says_so(host):
    about = next(engine for engine in host.ask("/stat/engines") if engine["eng_name"] == "ClamAV")
    found = about["eng_ver"].split("/")[-1], about["def_time"], about["active"]
    check("/stat/engines", found, (str(signatures.VERSION), "2026-11-20T08:00:00.000Z", True))


def unwanted_large_and_many(host):
    pua = host.scan("b.txt", b"text with " + signatures.UNWANTED)
    check("an unwanted program", verdict(pua), ("Blocked", 22, 22, "PUA.Portcullis.Unwanted.UNOFFICIAL"))
    check("a file as large as clamd looks at", verdict(host.scan("c.txt", b"x" * (FILE_MAX - 1))), ("Allowed", 0, 0, ""))
    beyond = host.scan("d.txt", b"y" * (FILE_MAX + 100_000))
    check("beyond MaxFileSize", (beyond[0], beyond[2]["threat_found"].split("-")[0]), ("Blocked", "Heuristics.Limits.Exceeded.MaxFileSize"))
    larger = host.scan("e.txt", b"z" * (8 * STREAM_MAX))
    check("beyond StreamMaxLength", larger[:2] + (larger[2]["scan_result_i"],), ("Blocked", 3, 3))


def stopped_and_back(host, clamd):
    clamd.send(signal.SIGSTOP)
    hanging = host.submit("f.txt", b"asked while clamd hangs")
    time.sleep(3)
    check("a hanging clamd", host.ask(f"/file/{hanging}")["process_info"]["result"], "Processing")
    clamd.kill()
    check("killed in the middle of it", verdict(host.result(hanging))[:3], ("Blocked", 3, 3))
    gone = b"asked while there is no clamd"
    check("no clamd", verdict(host.scan("g.txt", gone))[:3], ("Blocked", 3, 3))
    clamd.start()
    check("clamd back, the same file", verdict(host.scan("g.txt", gone)), ("Allowed", 0, 0, ""))
    check("clamd back, the test file", verdict(host.scan("h.com", b"h" + signatures.MARK)), ("Blocked", 1, 1, "Portcullis.Mark.UNOFFICIAL"))


def new_signatures(host, clamd):
    """A verdict from before an update is not taken over afterwards, though nothing else changed."""
    fresh = b"a text with " + signatures.LATER
    check("before the update", verdict(host.scan("j.txt", fresh)), ("Allowed", 0, 0, ""))
    signatures.write(clamd.database / "daily.cud", signatures.VERSION + 1, [("Portcullis.Later", signatures.LATER)])
    clamd.ask(b"RELOAD")
    until("the reload", 30, lambda: f"/{signatures.VERSION + 1}/" in clamd.version())
    until("the update to be noticed", 60, lambda: host.scan("j.txt", fresh)[0] == "Blocked")
    check("after the update", verdict(host.scan("k.txt", fresh)), ("Blocked", 1, 1, "Portcullis.Later.UNOFFICIAL"))
    told = lambda: next(engine for engine in host.ask("/stat/engines") if engine["eng_name"] == "ClamAV")["eng_ver"]
    until("/stat/engines to tell", 20, lambda: told().endswith(f"/{signatures.VERSION + 1}"))
    print(f"ok: /stat/engines: {told()}")


clamd, hosts = Clamd(), []
try:
    hosts.append(Host("unix", str(clamd.socket)))
    finds_and_lets_pass(hosts[0])
    says_so(hosts[0])
    unwanted_large_and_many(hosts[0])
    stopped_and_back(hosts[0], clamd)
    hosts.append(Host("tcp", f"127.0.0.1:{clamd.port}"))
    finds_and_lets_pass(hosts[1])
    clamd.kill()
    hosts.append(Host("late", str(clamd.socket)))
    check("a host that was there first", verdict(hosts[2].scan("i.txt", b"before clamd"))[:3], ("Blocked", 3, 3))
    clamd.start()
    finds_and_lets_pass(hosts[2])
    new_signatures(hosts[2], clamd)
finally:
    for host in hosts:
        host.stop()
    clamd.kill()
