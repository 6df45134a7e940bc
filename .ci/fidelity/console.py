"""The web console in headless Chromium: see `console` beside this file.

console.py <base url> <api key of the administrator> <his password> <axe.min.js> <empty folder> <folder for pictures, or ''>
"""

import base64
import io
import json
import pathlib
import re
import sys
import time
import traceback
import urllib.parse
import urllib.request
import zipfile

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

BASE, APIKEY, PASSWORD, AXE, FOLDER, PICTURES = sys.argv[1:]
FOLDER = pathlib.Path(FOLDER).resolve()
AXE = pathlib.Path(AXE).read_text()
PATIENCE = 60
# Put together at run time: no scanner shall stop at this source.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"
# A name of a file, of a rule, and of a client.
XSS = "<img src=x onerror=document.title='owned'>"
MIRRORED = "invoice\u202egpj.exe.txt"


def api(method, path, body=None, key=APIKEY):
    request = urllib.request.Request(BASE + path, method=method, data=None if body is None else json.dumps(body).encode(), headers={"apikey": key})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


class Browser:
    def __init__(self):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                     "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1280,900", "--lang=en-GB",
                     f"--user-data-dir={FOLDER / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.set_script_timeout(60)
        self.messages, self.hosts, self.expected, self.taken = [], set(), [], 0

    # What happens on the page.

    def open(self, fragment=""):
        self.driver.get(f"{BASE}/{fragment}")

    def go(self, fragment):
        self.driver.execute_script("location.hash = arguments[0]", fragment)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.until(f"`{selector}`", lambda: next(iter(self.all(selector)), None))

    def button(self, text):
        wanted = lambda: next((b for b in self.all("button") if b.is_displayed() and b.text.strip() == text), None)
        return self.until(f"the button `{text}`", wanted)

    def text(self, selector="main"):
        return self.driver.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def until(self, what, condition):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if found := condition():
                    return found
            except Exception as error:  # an element that was just replaced
                if "stale" not in str(error).lower():
                    raise
            if time.monotonic() > end:
                raise AssertionError(f"{what} did not come; the page says:\n{self.text('body')}")
            time.sleep(0.05)

    def says(self, *texts, selector="main"):
        for text in texts:
            self.until(f"`{text}`", lambda: text in self.text(selector))

    def keys(self, *keys):
        chain = ActionChains(self.driver)
        for key in keys:
            chain.send_keys(key)
        chain.perform()

    def focused(self, script="return document.activeElement"):
        return self.driver.execute_script(script)

    def tab_to(self, selector, most=40):
        """Only the keyboard: presses Tab until the focus is there."""
        for _ in range(most):
            if self.driver.execute_script("return document.activeElement.matches(arguments[0])", selector):
                ring = self.driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
                assert ring != "none", f"{selector} has the focus, and it can not be seen"
                return
            self.keys(Keys.TAB)
        raise AssertionError(f"the Tab key does not lead to {selector}")

    def drop(self, selector, files):
        """Drops files as the mouse does."""
        given = [[name, base64.b64encode(content).decode()] for name, content in files]
        self.driver.execute_script(
            """const transfer = new DataTransfer();
            for (const [name, content] of arguments[1]) {
              transfer.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name));
            }
            const zone = document.querySelector(arguments[0]);
            for (const kind of ['dragenter', 'dragover', 'drop']) zone.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));""",
            selector, given)

    # What is looked at beside.

    def scheme(self, name):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]})

    def width(self, pixels):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": False})

    def picture(self, name):
        if PICTURES:
            self.taken += 1
            height = self.driver.execute_script("return Math.min(document.documentElement.scrollHeight, 4000)")
            shot = {"captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": self.driver.execute_script("return innerWidth"), "height": height, "scale": 1}}
            data = self.driver.execute_cdp_cmd("Page.captureScreenshot", shot)["data"]
            pathlib.Path(PICTURES).mkdir(parents=True, exist_ok=True)
            (pathlib.Path(PICTURES) / f"{self.taken:02}-{name}.png").write_bytes(base64.b64decode(data))

    def look(self, name):
        """A view as it stands: axe in both schemes, and at 320 px."""
        for scheme in ["light", "dark"]:
            self.scheme(scheme)
            self.driver.execute_script("if (!window.axe) {" + AXE + "}")
            found = self.driver.execute_async_script(
                "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] }).then((r) => done(r.violations), (e) => done([{ id: String(e), impact: 'critical', nodes: [] }]))")
            wrong = [(v["id"], v["impact"], [(n["html"], n.get("failureSummary")) for n in v["nodes"]][:3]) for v in found if v["impact"] in ("serious", "critical")]
            assert not wrong, f"{name} ({scheme}): {json.dumps(wrong, indent=1)}"
            self.picture(f"{name}-{scheme}")
        self.scheme("light")
        self.width(320)
        over = self.driver.execute_script(
            """if (document.scrollingElement.scrollWidth <= 320) return '';
            return [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > 321).map((e) => e.outerHTML.slice(0, 120)).join('\\n')""")
        self.picture(f"{name}-narrow")
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        assert not over, f"{name} is wider than 320 px: {over}"
        self.drain()

    def drain(self):
        for entry in self.driver.get_log("browser"):
            self.messages.append((entry["source"], entry["level"], entry["message"]))
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.hosts.add(urllib.parse.urlsplit(message["params"]["request"]["url"])[:2])

    def expect(self, pattern):
        """An answer of the server that the browser reports, and that belongs to the test."""
        self.expected.append(re.compile(pattern))

    def clean(self):
        self.drain()
        wrong = [m for m in self.messages if m[1] != "INFO" and not (m[0] == "network" and any(e.search(m[2]) for e in self.expected))]
        assert not wrong, f"the browser reports: {json.dumps(wrong, indent=1)}"
        others = {f"{scheme}://{host}" for scheme, host in self.hosts if host.split(":")[0] != "127.0.0.1" and scheme not in ("data", "about", "chrome")}
        assert not others, f"requests went elsewhere: {others}"
        assert any(scheme == "http" for scheme, _ in self.hosts), "no request was seen at all"


def submit(content, **headers):
    """By the API; waits for the verdict."""
    request = urllib.request.Request(BASE + "/file", data=content, headers={"apikey": APIKEY, **headers})
    with urllib.request.urlopen(request, timeout=30) as answer:
        identity = json.load(answer)["data_id"]
    end = time.monotonic() + PATIENCE
    while api("GET", f"/file/{identity}")["process_info"]["progress_percentage"] != 100:
        assert time.monotonic() < end, "no verdict"
        time.sleep(0.1)
    return identity


def archive(*files):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files:
            out.writestr(name, content)
    return body.getvalue()


def stored(name, content):
    path = FOLDER / "files" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return str(path)


def sign_in(page, key=APIKEY):
    page.one("#apikey").send_keys(key)
    page.button("Use this key").click()
    page.until("the upload", lambda: page.all("#files"))


# The steps. Each begins where it says itself.


def keyboard_only(page):
    page.open()
    page.says("Sign in", "With a password", "With an API key")
    page.look("sign-in")
    page.expect(r"/login .*403")
    page.tab_to("#user")
    page.keys("admin")
    page.tab_to("#password")
    page.keys("wrong", Keys.ENTER)
    page.says("The name or the password is wrong.")
    page.look("sign-in-wrong")
    page.until("the focus is on the first field again", lambda: page.focused("return document.activeElement.id") == "user")
    page.tab_to("#password")
    page.driver.execute_script("document.activeElement.select()")
    page.keys(PASSWORD, Keys.ENTER)
    page.says("Choose files", "No file was sent yet.")
    page.says("LOCAL/admin", selector="header")
    page.until("the focus is on the heading", lambda: page.focused("return document.activeElement.tagName") == "H1")
    page.look("upload")
    page.tab_to("#rule")
    page.tab_to("#files")
    # The dialog of the operating system is not of the page: the driver fills in what it would answer.
    page.focused().send_keys(stored("notes.txt", b"clean notes\n"))
    page.says("Allowed: No Threat Detected", selector="#items")
    page.until("the end is announced", lambda: "notes.txt: Allowed" in page.text("#live"))
    page.tab_to("#items a")
    page.keys(Keys.ENTER)
    page.says("Every engine of the rule looked at the whole content and found nothing.", "SHA-256", "YARA-X")
    assert page.text("h1") == "notes.txt", page.text("h1")
    assert page.driver.title == "notes.txt – Portcullis"
    page.until("the focus is on the heading", lambda: page.focused("return document.activeElement.tagName") == "H1")
    page.look("verdict-clean")


def drop(page):
    page.go("#/")
    page.one("#drop")
    page.drop("#drop", [("clean.txt", b"another clean file\n"), ("eicar.com", EICAR), ("both.zip", archive(("docs/clean.txt", b"clean\n"), ("bad/eicar.com", EICAR)))])
    page.until("three verdicts", lambda: len(page.all("#items .badge")) >= 4)
    items = page.text("#items")
    assert items.count("Blocked: Infected") == 2, items
    page.look("upload-done")
    page.drop("#drop", [("empty.bin", b"")])
    page.says("It is empty.", selector="#items")


def result_of(page, name):
    page.go("#/")
    link = page.until(f"the link to {name}", lambda: next((li for li in page.all("#items li") if name in li.text), None))
    link.find_element(By.CSS_SELECTOR, "a").click()


def words(page):
    result_of(page, "eicar.com")
    page.says("Blocked: Infected", "Why", "An engine identified a threat.", "EICAR", "What to do next", "Do not open the file.", "allow list")
    page.look("verdict-infected")
    result_of(page, "both.zip")
    page.says("Blocked: Infected", "The worst of 2 files in it is", "Files in it (2)", "both.zip/docs/clean.txt")
    page.look("verdict-archive")
    parent = page.driver.current_url
    next(a for a in page.all(".scroll a") if "eicar" in a.text).click()
    page.until("the child", lambda: page.text("h1") == "both.zip/bad/eicar.com")
    page.says("Blocked: Infected")
    page.one(".back a").click()
    page.until("the parent", lambda: page.driver.current_url == parent)
    page.says("Files in it (2)")


def limits(page):
    page.go("#/")
    rule = page.one("#rule")
    next(option for option in rule.find_elements(By.TAG_NAME, "option") if "Few files" in option.text).click()
    page.drop("#drop", [("many.zip", archive(*[(f"{n}.txt", b"x%d" % n) for n in range(5)])), ("picture.png", b"MZ" + bytes(58) + b"\x40\0\0\0PE\0\0" + bytes(400))])
    page.says("Exceeded Archive File Number", selector="#items")
    result_of(page, "many.zip")
    page.says("More entries come out of an archive than the rule permits.", "more than 3 entries", "extraction")
    page.look("verdict-limit")
    result_of(page, "picture.png")
    page.says("Blocked:")


def hostile_names(page):
    page.go("#/")
    rule = page.one("#rule")
    next(option for option in rule.find_elements(By.TAG_NAME, "option") if XSS in option.text).click()
    page.drop("#drop", [(XSS + ".txt", b"xss\n"), (MIRRORED, b"mirrored\n")])
    page.says(XSS + ".txt", "invoice⟨U+202E⟩gpj.exe.txt", selector="#items")
    page.until("both are through", lambda: not page.all("#items progress"))
    result_of(page, "<img")
    # The server leaves brackets and marks out of names; the rule's name it keeps.
    page.says("img src=x onerror=document.title='owned'.txt", XSS, "Allowed: No Threat Detected")
    page.look("hostile-name")
    result_of(page, "U+202E")
    page.until("the mark is gone", lambda: page.text("h1") == "invoicegpj.exe.txt")
    sent = submit(b"sent by a client\n", filename="client.txt", user_agent=urllib.parse.quote(XSS), metadata=json.dumps({XSS: XSS}))
    page.go(f"#/file/{sent}")
    page.until("the client's name", lambda: page.text(".facts").count(XSS) >= 2)
    page.go("#/history")
    page.says(XSS, "invoicegpj.exe.txt")
    assert not page.all("main img"), "a name became markup"
    assert "owned" not in page.driver.title


def history(page):
    page.go("#/history")
    page.says("newest first", "notes.txt", "both.zip", "and 2 in it", "Blocked: Exceeded Archive File Number")
    page.look("history")
    page.one("#filter-q").send_keys("eicar")
    page.button("Show").click()
    page.until("only eicar.com", lambda: "eicar.com" in page.text("#rows") and "notes.txt" not in page.text("#rows"))
    assert "q=eicar" in page.driver.current_url
    page.driver.get(page.driver.current_url)
    page.until("the same by its link", lambda: "eicar.com" in page.text("#rows") and "notes.txt" not in page.text("#rows"))
    assert page.one("#filter-q").get_attribute("value") == "eicar"
    page.go("#/history?result=Blocked")
    page.until("what was blocked", lambda: "both.zip" in page.text("#rows") and "notes.txt" not in page.text("#rows"))
    page.go("#/history?from=2001-01-01T00:00&to=2001-01-02T00:00")
    page.says("Nothing fits these filters.")


def large(page):
    """More than an API body takes: straight to the store, as a form."""
    page.go("#/")
    page.one("#files").send_keys(stored("large.bin", b"large file, clean\n" * 400_000))
    page.until("the large file's verdict", lambda: any("large.bin" in li.text and "Allowed" in li.text for li in page.all("#items li")))


def links(page):
    identity = submit(b"a link to this\n", filename="linked.txt")
    for fragment in [f"public/process/dataId/{identity}", f"public/filescan/dataId/{identity}", f"user/dashboard/processingHistory/dataId/{identity}",
                     f"user/scanResult?type=dataId&value={identity}"]:
        page.go(f"#/{fragment}")
        page.until(f"the result of {fragment}", lambda: identity in page.text(".facts"))
    page.go("#/file/" + "0" * 32)
    page.says("no result has the id")
    page.go("#/nowhere")
    page.says("There is no such page.")


def rules(page):
    page.go("#/rules")
    page.says("Version 1 is in force.", "Few files", XSS)
    page.one("details.rule summary").click()
    page.says("opened to 10 levels, 50000 entries")
    page.look("rules")
    text = page.one("#rules-text")
    mine = json.loads(text.get_attribute("value"))
    # Somebody else is faster.
    api("PUT", "/admin/config/rules", {"version": 1, "rules": mine + [{"name": "Theirs"}]})
    page.driver.execute_script("arguments[0].value = arguments[1]", text, json.dumps(mine + [{"name": "Mine"}]))
    page.expect(r"/admin/config/rules .*(409|400)")
    page.button("Put in force").click()
    page.says("Somebody else changed the rules: version 2 is in force", "In force: version 2")
    assert "Theirs" in page.one("#rules-theirs").get_attribute("value") and "Mine" in text.get_attribute("value")
    page.look("rules-conflict")
    page.button("Replace version 2 with my text").click()
    page.button("Replace it").click()
    page.says("The rules are in force as version 3.", "Mine")
    assert [rule["name"] for rule in api("GET", "/admin/config/rules")["rules"]][-1] == "Mine"
    text = page.one("#rules-text")
    page.driver.execute_script("arguments[0].value = '[{]'", text)
    page.button("Put in force").click()
    page.says("This is no JSON")
    page.driver.execute_script("arguments[0].value = '[{\"name\": \"x\", \"max_file_sise\": 1}]'", text)
    page.button("Put in force").click()
    page.says("max_file_sise")


def yara(page):
    page.go("#/yara")
    page.says("none yet", "s3://")
    page.one("#source").send_keys("s3://no-such-bucket-of-portcullis/rules/")
    page.button("Add").click()
    page.says("These changes are not saved yet.")
    page.button("Save the sources").click()
    page.says("The sources are saved.")
    page.button("Generate a package").click()
    page.says("The last generation failed", "Problems of the last generation", "no-such-bucket-of-portcullis")
    page.look("yara-problems")
    next(b for b in page.all("button") if (b.get_attribute("aria-label") or "").startswith("Remove s3://no-such")).click()
    page.button("Save the sources").click()
    page.says("The sources are saved.")
    page.button("Generate a package").click()
    page.says("No generation runs.", "rules in", "broken.yar", "no_such_thing")
    page.look("yara")


def settings(page):
    page.go("#/settings")
    page.says("Files that may wait", "A session ends when it is not used for so long")
    form = lambda: page.one('section[aria-label="Scanning"]')
    number = page.until("the number", lambda: next(iter(form().find_elements(By.CSS_SELECTOR, "input")), None))
    number.clear()
    number.send_keys("777")
    number.send_keys(Keys.ENTER)
    page.until("it is saved", lambda: "Saved." in form().text)
    assert api("GET", "/admin/config/scan")["max_queue_per_agent"] == 777
    page.look("settings")
    page.expect(r"/admin/config/scan .*400")
    number = form().find_element(By.CSS_SELECTOR, "input")
    number.clear()
    number.send_keys("0")
    number.send_keys(Keys.ENTER)
    page.until("the range is told", lambda: "max_queue_per_agent" in form().text)


def users(page):
    """Users and roles: made, changed, refused when somebody else was faster, deleted."""
    labelled = lambda text: page.until(text, lambda: next((b for b in page.all("button") if b.get_attribute("aria-label") == text), None))
    page.go("#/users")
    page.says("Administrators", "Help desk", "all")
    page.button("New role").click()
    page.one("#role-name").send_keys("triage")
    next(b for b in page.all("input") if b.get_attribute("aria-label") == "scanlog: read").click()
    page.look("role-form")
    page.button("Create").click()
    page.says("The role “triage” is created.")
    page.button("New user").click()
    page.one("#user-name").send_keys("console-user")
    page.look("user-form")
    page.button("Create").click()
    page.says("The user “console-user” is created.")
    page.look("users")
    identity = next(user["id"] for user in api("GET", "/admin/user") if user["name"] == "console-user")
    labelled("Edit console-user").click()
    page.says("User console-user")
    # Somebody else is faster.
    api("PUT", f"/admin/user/{identity}", {"email": "theirs@example.com"})
    page.expect(rf"/admin/user/{identity} .*409")
    page.button("Save").click()
    page.says("This was changed by somebody else")
    assert api("GET", f"/admin/user/{identity}")["email"] == "theirs@example.com"
    labelled("Edit console-user").click()
    page.until("the form with what is there now", lambda: any(i.get_attribute("value") == "theirs@example.com" for i in page.all("form input")))
    page.button("Save").click()
    page.says("The user “console-user” is saved.")
    labelled("Delete console-user").click()
    page.until("the question", lambda: next((b for b in page.all("dialog[open] button") if b.text.strip() == "Delete"), None)).click()
    page.says("The user “console-user” is deleted.")
    assert all(user["name"] != "console-user" for user in api("GET", "/admin/user"))


def audit(page):
    page.go("#/audit?action=user")
    page.says("user.create", "user.delete", "LOCAL/admin", "127.0.0.1")
    page.says(str(time.gmtime().tm_year))
    assert "config.scan.write" not in page.text("#rows")
    page.one("#rows details summary").click()
    page.look("audit")
    page.go("#/audit?user=nobody")
    page.says("Nothing fits these filters")


def reader(page):
    """Who may only read sees everything he may, no way to change it, and is told which right is missing."""
    key = "portcullis-ci-reader-key"
    api("POST", "/admin/user", {"name": "reader", "display_name": XSS, "roles": ["4"], "apikey": key})
    page.one("#sign-out").click()
    page.one("#apikey").send_keys(key)
    page.button("Use this key").click()
    page.says("LOCAL/reader", selector="header")
    page.go("#/")
    page.says("No file was sent yet.")
    changing = re.compile("Put in force|Save|Generate|Remove|Add|Disable|Pin|New|Edit|Delete|Start|Stop")
    page.expect(r"(405|403)")
    for view, text in {"rules": "rule (write)", "yara": "engines (write)", "engines": "engines (write)", "settings": "scan (write)", "rescan": "scan (write)"}.items():
        page.go(f"#/{view}")
        page.says(text)
        page.until("nothing is loading", lambda: "Loading" not in page.text())
        buttons = [b.text for b in page.all("main button") if changing.match(b.text)]
        assert not buttons, f"{view}: {buttons}"
    page.go("#/users")
    page.says("You may not", "users (read)")
    assert "Users" not in page.text("nav")
    page.look("reader-refused")
    page.go("#/account")
    page.says(XSS, "scanlog (read)")
    page.look("account")
    page.one("#sign-out").click()
    sign_in_here(page)


def engines(page):
    page.go("#/engines")
    page.says("YARA-X", "● Active", "PDF")
    button = lambda text: page.until(text, lambda: next((b for b in page.all("button") if b.get_attribute("aria-label") == text), None))
    button("Disable PDF").click()
    page.button("Yes").click()
    page.says("Engine is disabled", "○ Disabled")
    page.look("engines")
    button("Enable PDF").click()
    page.says("Engine is enabled")
    assert "○ Disabled" not in page.text()
    button("Pin YARA-X").click()
    page.says("pinned")
    button("Unpin YARA-X").click()
    page.says("unpinned")


def stats(page):
    page.go("#/stats")
    page.says("Files over time", "Verdicts", "Time from submission to verdict", "half within", "USD")
    # Counters are written behind the verdicts.
    page.until("what was scanned", lambda: int(api("GET", "/stat/summary")["blocked"]) >= 3)
    page.go("#/stats?hours=168")
    page.until("days", lambda: page.one("#range").get_attribute("value") == "168")
    page.go("#/stats?hours=24")
    page.until("the bars", lambda: page.all(".chart rect.blocked") and page.all(".chart rect.allowed"))
    for details in page.all("main details > summary"):
        details.click()
    page.says("Infected", "Exceeded Archive File Number")
    page.look("stats")


def rescan(page):
    page.go("#/rescan")
    page.says("No rescan was started yet.", "New rescan")
    page.driver.execute_script("document.querySelector('#rescan-from').value = '2026-01-01T00:00'")
    page.button("Start").click()
    page.says("A rescan runs.", "60 a minute", "LOCAL/admin")
    page.look("rescan")
    page.button("Stop the rescan").click()
    page.button("Stop it").click()
    page.says("The last rescan was stopped.")


def ended_session(page):
    page.open()
    page.one("#sign-out").click()
    page.says("You are signed out.")
    page.one("#user").send_keys("admin")
    page.one("#password").send_keys(PASSWORD)
    page.button("Sign in").click()
    page.one("#files")
    stored_key = page.driver.execute_script("return JSON.parse(sessionStorage.getItem('portcullis-session')).key")
    assert page.driver.execute_script("return localStorage.length + document.cookie.length") == 0
    api("POST", "/logout", key=stored_key)
    page.expect(r"403")
    page.go("#/history")
    page.says("Your session has ended. Sign in again to go on.")
    sign_in_here(page)
    page.says("History")


def sign_in_here(page):
    page.one("#apikey").send_keys(APIKEY)
    page.button("Use this key").click()
    page.one("#sign-out")


STEPS = [keyboard_only, drop, words, limits, hostile_names, history, large, links, rules, yara, settings, engines, stats, rescan, users, audit, reader, ended_session]


def main():
    page = Browser()
    try:
        for step in STEPS:
            started = time.monotonic()
            step(page)
            page.drain()
            print(f"{step.__name__}: {time.monotonic() - started:.1f} s", flush=True)
        page.clean()
    except Exception:
        traceback.print_exc()
        page.picture("failed")
        page.drain()
        print(json.dumps([m for m in page.messages if m[1] != "INFO"][-10:], indent=1), file=sys.stderr)
        sys.exit(1)
    finally:
        page.driver.quit()


main()
