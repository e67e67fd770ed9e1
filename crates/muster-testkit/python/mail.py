"""A mail server of aiosmtpd for tests: writes each mail it takes into a folder, as JSON.

While the folder holds a file named `refuse`, every mail is refused for the time being.
"""

import argparse
import asyncio
import json
import pathlib
import ssl

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--folder", type=pathlib.Path, required=True)
parser.add_argument("--security", choices=["starttls", "tls", "plain"], required=True)
parser.add_argument("--certificate")
parser.add_argument("--key")
parser.add_argument("--user")
parser.add_argument("--password")
given = parser.parse_args()


class Handler:
    taken = 0

    async def handle_DATA(self, server, session, envelope):
        if (given.folder / "refuse").exists():
            return "451 4.3.0 try again later"
        Handler.taken += 1
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "text": envelope.content.decode("utf-8", "surrogateescape"),
            "is_tls": session.ssl is not None or given.security == "tls",
            "user": session.auth_data.login.decode() if session.auth_data else None,
        }
        beside = given.folder / f"{Handler.taken:06}.part"
        beside.write_text(json.dumps(mail))
        beside.rename(beside.with_suffix(".json"))
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    proven = (
        isinstance(data, LoginPassword)
        and data.login == given.user.encode()
        and data.password == given.password.encode()
    )
    return AuthResult(success=proven, handled=False, auth_data=data if proven else None)


async def main():
    context = None
    if given.security != "plain":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(given.certificate, given.key)

    def conversation():
        return SMTP(
            Handler(),
            hostname="localhost",
            tls_context=context if given.security == "starttls" else None,
            require_starttls=given.security == "starttls",
            authenticator=authenticate if given.user else None,
            auth_required=bool(given.user),
            auth_require_tls=given.security == "starttls",
        )

    at_once = context if given.security == "tls" else None
    server = await asyncio.get_running_loop().create_server(conversation, "127.0.0.1", given.port, ssl=at_once)
    await server.serve_forever()


asyncio.run(main())
