"""Signatures against those of the providers' own libraries, both ways.

    python tests/interop/interop.py target/debug/memberflow [URL [MOMENT]]

needs the packages in requirements.txt. What memberflow signs, the libraries verify; what the libraries
sign for a moment, memberflow signs for it too, byte for byte; and a running memberflow takes what they
sign: with the address of one that has the secrets below, whose clock may stand at a moment (Unix seconds).
tests/it/verification/peer.rs starts such a one.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone

from standardwebhooks.webhooks import Webhook
from stripe import WebhookSignature
from twilio.request_validator import RequestValidator

STRIPE = ["whsec_first_secret", "whsec_second_secret"]
SUPABASE = [
    "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "whsec_YW5vdGhlciBrZXksIGFub3RoZXIga2V5LCBhbm90aGU=",
]
TWILIO = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"]
ACCOUNT = "AC0c7a51d2e94b4f6f8a3d6b1e25c94470"
PUBLIC_URL = "https://hooks.example.com"
FORMS = [
    {"MessageSid": "SM" + "0" * 31 + "1", "AccountSid": ACCOUNT, "Body": "Zoë & \U0001f600 100% = +1", "NumMedia": "0"},
    {"MessageSid": "SM" + "0" * 31 + "2", "AccountSid": ACCOUNT, "MessageStatus": "undelivered", "ErrorCode": "30003"},
    {"Empty": "", "MediaUrl": ["b", "a", "b"]},
    {},
]
EVENT = json.dumps({"id": "evt_interop", "object": "event", "type": "invoice.paid", "created": 1700000000,
                    "data": {"object": {"name": "Zoë \U0001f600 \u0000"}}}, ensure_ascii=False)
HOOK = json.dumps({"metadata": {"uuid": "interop", "name": "after-user-created",
                                "time": "2025-11-26T12:00:00Z"}, "user": {"email": "zoë@example.com"}},
                  ensure_ascii=False)
BODIES = [EVENT, HOOK, "{}", "", " \n{ \"a\" : 1.50 }\r\n"]


def sign(binary, provider, body, *arguments):
    """The headers that memberflow prints for a body."""
    environment = {
        "STRIPE_WEBHOOK_SECRETS": ",".join(STRIPE),
        "SUPABASE_WEBHOOK_SECRETS": "|".join(f"v1,{secret}" for secret in SUPABASE),
        "TWILIO_AUTH_TOKENS": ",".join(TWILIO),
        "MEMBERFLOW_PUBLIC_URL": PUBLIC_URL,
        "PATH": os.environ["PATH"],
    }
    command = [binary, "sign", provider, "--json", "--file", "-", *arguments]
    printed = subprocess.run(command, input=body.encode(), env=environment, check=True, capture_output=True)
    return json.loads(printed.stdout)


def stripe_both_ways(binary, body, now):
    header = sign(binary, "stripe", body)["Stripe-Signature"]
    for secret in STRIPE:
        WebhookSignature.verify_header(body, header, secret, tolerance=300)
    ours = sign(binary, "stripe", body, "--timestamp", str(now))["Stripe-Signature"]
    theirs = [WebhookSignature.generate_signature_header(body, secret, now) for secret in STRIPE]
    macs = ",".join(one.split(",")[1] for one in theirs)
    assert ours == f"t={now},{macs}", (ours, theirs)


def supabase_both_ways(binary, body, now):
    headers = sign(binary, "supabase", body)
    for secret in SUPABASE:
        Webhook(secret).verify(body, headers, json_parse=False)
    ours = sign(binary, "supabase", body, "--timestamp", str(now), "--id", "msg_interop")
    moment = datetime.fromtimestamp(now, tz=timezone.utc)
    theirs = " ".join(Webhook(secret).sign("msg_interop", moment, body) for secret in SUPABASE)
    assert ours["webhook-signature"] == theirs, (ours, theirs)
    assert (ours["webhook-id"], ours["webhook-timestamp"]) == ("msg_interop", str(now))


def twilio_both_ways(binary, form):
    """Their own library signs with and without the port; ours signs the address as it is given."""
    body = urllib.parse.urlencode(form, doseq=True)
    for path in ["/webhooks/twilio/messages", "/webhooks/twilio/status?from=here&again=1%202"]:
        url = PUBLIC_URL + path
        ours = sign(binary, "twilio", body, "--url", url)["X-Twilio-Signature"]
        assert ours == RequestValidator(TWILIO[0]).compute_signature(url, Multi(form)), (url, form)
        assert RequestValidator(TWILIO[0]).validate(url, Multi(form), ours)
    text = json.dumps(form)
    url = f"{PUBLIC_URL}/webhooks/twilio/messages?bodySHA256={hashlib.sha256(text.encode()).hexdigest()}"
    ours = sign(binary, "twilio", text, "--url", url)["X-Twilio-Signature"]
    assert RequestValidator(TWILIO[0]).validate(url, text, ours), (url, text)


class Multi(dict):
    """A form as a web framework hands it to the validator."""

    def getall(self, name):
        value = self[name]
        return value if isinstance(value, list) else [value]


def post(url, body, headers):
    headers = {"content-type": "application/json", **headers}
    ask(urllib.request.Request(url, body.encode(), headers, method="POST"))


def ask(request):
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200, answer.status


def running_memberflow_takes_theirs(base, now):
    moment = datetime.fromtimestamp(now, tz=timezone.utc)
    for secret in STRIPE:
        header = WebhookSignature.generate_signature_header(EVENT, secret, now)
        post(f"{base}/webhooks/stripe", EVENT, {"stripe-signature": header})
    for secret in SUPABASE:
        signature = Webhook(secret).sign("msg_interop", moment, HOOK)
        headers = {"webhook-id": "msg_interop", "webhook-timestamp": str(now), "webhook-signature": signature}
        post(f"{base}/webhooks/supabase/auth", HOOK, headers)
    messages = [twilio_requests(base, token, number) for number, token in enumerate(TWILIO)]
    for request in (request for requests in messages for request in requests):
        ask(request)
    refused = twilio_requests(base, "ffffffffffffffffffffffffffffffff", len(TWILIO))
    for request in refused:
        try:
            ask(request)
        except urllib.error.HTTPError as error:
            assert error.code == 400, error.code
        else:
            raise AssertionError(f"{request.full_url} was taken with another token")


def twilio_requests(base, token, number):
    """A request of each kind, signed by their library; each is a message of its own."""
    sids = iter(f"SM{number:016x}{kind:016x}" for kind in range(1, 9))
    validator = RequestValidator(token)

    def request(path, form=None, signed=None, algorithm=None, text=None, port=""):
        """`signed` are the parameters that are not in the address."""
        signature = validator.compute_signature(PUBLIC_URL + port + path, signed, algorithm)
        headers = {"x-twilio-signature": signature}
        if text is not None:
            return urllib.request.Request(base + path, text.encode(), {**headers, "content-type": "application/json"})
        if form is None:
            return urllib.request.Request(base + path, headers=headers)
        body = urllib.parse.urlencode(form, doseq=True)
        return urllib.request.Request(
            base + path, body.encode(), {**headers, "content-type": "application/x-www-form-urlencoded"})

    def form(**more):
        return Multi({**FORMS[0], "MessageSid": next(sids), **more})

    messages, status = "/webhooks/twilio/messages", "/webhooks/twilio/status"
    one = form()
    yield request(messages, one, one)
    one = form(Again=["b", "a", "b"], Empty="")
    yield request(messages + "?from=here&again=1%202", one, one)
    one = form()
    yield request(messages, one, one, port=":443")
    one = form()
    yield request(messages, one, one, algorithm="HMAC_SHA256")
    one = Multi({**FORMS[1], "MessageSid": next(sids)})
    yield request(status, one, one)
    yield request(f"{messages}?{urllib.parse.urlencode(form(), doseq=True)}")
    yield request(f"{messages}?{urllib.parse.urlencode(form(), doseq=True)}", port=":443")
    text = json.dumps(form())
    yield request(f"{messages}?bodySHA256={hashlib.sha256(text.encode()).hexdigest()}", text=text)


def main():
    if len(sys.argv) not in (2, 3, 4):
        sys.exit(__doc__)
    binary, now = sys.argv[1], int(time.time())
    for body in BODIES:
        stripe_both_ways(binary, body, now)
        supabase_both_ways(binary, body, now)
    for form in FORMS:
        twilio_both_ways(binary, form)
    if len(sys.argv) > 2:
        at = int(sys.argv[3]) if len(sys.argv) > 3 else now
        running_memberflow_takes_theirs(sys.argv[2], at)
    print(f"{len(BODIES)} bodies and {len(FORMS)} forms signed and verified both ways")


if __name__ == "__main__":
    main()
