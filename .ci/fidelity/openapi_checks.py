"""Checks of our own for Schemathesis."""

import schemathesis

# 5xx that the contract has (§4.3).
OF_THE_CONTRACT = {
    500: "Failed to request scan. File size exceeded the maximum size permitted by your configuration.",
    503: "Server is too busy. Try again later.",
}


@schemathesis.check
def only_errors_of_the_contract(ctx, response, case):
    status = response.status_code
    if status < 500:
        return
    body = response.json()
    if status == 503 and case.path == "/readyz":
        return
    assert body.get("err") == OF_THE_CONTRACT.get(status), f"{status} {body}"
