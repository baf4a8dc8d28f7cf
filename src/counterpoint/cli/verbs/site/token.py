"""The verb `site token`: create and revoke the tokens of sites."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments
from counterpoint.core.records import Json


@dataclass(frozen=True, kw_only=True)
class TokenArguments(VerbArguments):
    """Arguments of `site token`."""

    name: Positional[str]
    """Name of the site, for example lab_3."""
    tokens: Path = Path("tokens.json")
    """Token file of the receiver. It holds only hashes and is created if it does not exist."""
    out: Path | None = None
    """Write the token to this new file, readable only by you, instead of printing it."""
    revoke: bool = False
    """Revoke the site's tokens instead; a running receiver refuses them at once."""


def run_token(arguments: TokenArguments) -> Reply:
    """Create or revoke tokens."""
    import os

    from counterpoint.site.tokens import add_token, check_site, revoke_tokens

    if arguments.revoke:
        count = revoke_tokens(arguments.tokens, arguments.name)
        data: dict[str, Json] = {"site": arguments.name, "revoked": count}
        return Reply(data=data, text=f"{count} tokens of {arguments.name} revoked", passed=count > 0)
    check_site(arguments.name)
    if arguments.out is not None:
        descriptor = os.open(arguments.out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(add_token(arguments.tokens, arguments.name) + "\n")
        text = f"token of {arguments.name} written to {arguments.out}; copy it to the site"
        return Reply(data={"site": arguments.name, "token_file": str(arguments.out)}, text=text)
    token = add_token(arguments.tokens, arguments.name)
    # The bare token, so that `> token` makes a token file.
    return Reply(data={"site": arguments.name, "token": token}, text=token)


VERB = Verb(
    example="counterpoint site token lab_3 --tokens tokens.json --out lab_3.token",
    arguments=TokenArguments,
    run=run_token,
)
