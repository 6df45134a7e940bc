"""What Schemathesis is given: the served document, less what must not be asked of a host that is to answer the next request too.

usage: openapi_prepare.py <served document> <document to ask by>
"""

import json
import sys

VERBS = ("get", "put", "post", "delete", "patch")
# Operations that are left out, each with its reason.
LEFT_OUT = {
    "import": "replaces everything that is configured",
    "submitFileAndWait": "each request waits for its scan; POST /file takes the same ones",
}
# Addresses that requests may name: this machine, which the host refuses, and what is no address.
URLS = ["http://127.0.0.1:1/", "ftp://127.0.0.1/", "no address", ""]


def main(served, asked):
    with open(served, encoding="utf-8") as file:
        document = json.load(file)
    known = set()
    for path, item in list(document["paths"].items()):
        for verb in [verb for verb in item if verb in VERBS]:
            operation = item[verb]
            known.add(operation["operationId"])
            # 501 is what routes of later work are there to say.
            if "501" in operation["responses"] or operation["operationId"] in LEFT_OUT:
                del item[verb]
            # Nobody listens for these here.
            operation.pop("callbacks", None)
    stale = set(LEFT_OUT) - known
    if stale:
        sys.exit(f"left out, but not in the document: {stale}")
    parameters = document["components"]["parameters"]
    for parameter in parameters.values():
        if parameter["schema"].get("format") == "uri":
            parameter["schema"] = {"type": "string", "enum": URLS}
    # The first administrator (2) and the default roles (1 to 4) stay as they are: the key of this run is theirs.
    parameters["Id"]["schema"]["minimum"] = 5
    parameters["Id"]["example"] = 5
    with open(asked, "w", encoding="utf-8") as file:
        json.dump(document, file)


main(*sys.argv[1:])
