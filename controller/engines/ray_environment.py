"""What Ray reads from the environment when it is imported, set before that."""

from __future__ import annotations

import os
import secrets

from evaluator.device_lock import private_folder

SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our store is the log; theirs cost 0.3 s a trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours to handle
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # theirs is 15: whatever else runs would be in every latency
    "RAY_AIR_NEW_OUTPUT": "0",  # the newer output prints a banner even when told to be silent
}


def prepare(address: str | None) -> None:
    """Quiet Ray, and give a local cluster a token that only this user can read.

    Ray listens on every network interface; without a token, anyone who reaches it runs code here.
    A cluster at an address has its own rules, which the user's environment states.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if address is None and "RAY_AUTH_MODE" not in os.environ:
        token = private_folder() / "ray-token"
        if not token.exists():
            fresh = token.with_suffix(f".{os.getpid()}")
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
            os.replace(fresh, token)
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
