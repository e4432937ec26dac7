"""`python -P hub_upload.py`: upload a folder to the hub as one commit; the settings are JSON on standard input.

Run by a Python that has `huggingface_hub`; imports nothing of this project. The settings of huggingface_hub apply (HF_ENDPOINT,
HF_HOME, HF_TOKEN, its stored login). The last line of the output is JSON: {"url": …}, or {"error": …, "mistake": …}; `mistake`
is true if the user must change something, false if the upload failed. No line contains the token.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


class _MistakeError(Exception):
    """The user must change something."""


def upload(folder: str, repository: str, private: bool, message: str, token: str | None) -> str:
    """Upload a folder; return the address of the commit."""
    from huggingface_hub import HfApi

    if not token:
        program = Path(sys.executable).with_name("hf")
        raise _MistakeError(
            f"not logged in to the hub: set HF_TOKEN to a token that may write, or log in once with `{program} auth login`"
        )
    api = HfApi(token=token)
    # Without a visibility for a repository that is not to be private: the owner's default applies.
    api.create_repo(repository, private=True if private else None, exist_ok=True)
    if private and not api.repo_info(repository).private:
        raise _MistakeError("it exists and is public; make it private on the hub first, or leave out --private")
    return str(api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message).commit_url)


def _describe(error: Exception) -> dict[str, Any]:
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if isinstance(error, _MistakeError):
        return {"error": str(error), "mistake": True}
    if isinstance(error, ModuleNotFoundError):
        return {"error": f"{sys.executable} has no {error.name}", "mistake": True}
    status = getattr(getattr(error, "response", None), "status_code", None)
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
    if status == 401:
        return {"error": f"the hub ({endpoint}) does not accept the token", "mistake": True}
    if status == 403:
        return {"error": "the token may not write there; it needs write permission for this owner", "mistake": True}
    if status is not None:
        reason = getattr(error, "server_message", None) or first
        return {"error": f"the hub answered {status}: {reason}", "mistake": status in (400, 404, 409)}
    names = {each.__name__ for each in type(error).__mro__}
    if names & {"ConnectionError", "ConnectError", "ConnectTimeout", "ReadTimeout", "TransportError", "OfflineModeIsEnabled"}:
        return {"error": f"the hub ({endpoint}) cannot be reached: {first}", "mistake": False}
    return {"error": f"{type(error).__name__}: {first}", "mistake": names & {"HFValidationError"} != set()}


def main() -> int:
    """Run the command; the exit status is always 0, and the last line has any error."""
    token = None
    try:
        from huggingface_hub import get_token

        token = get_token()
        result: dict[str, Any] = {"url": upload(**json.load(sys.stdin), token=token)}
    except Exception as error:
        result = _describe(error)
    text = json.dumps(result)
    print(text.replace(token, "…") if token else text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
