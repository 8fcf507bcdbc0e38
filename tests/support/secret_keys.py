# SPDX-License-Identifier: Apache-2.0
"""Keys for secrets: RSA keys in files, made once, and a hardware module that SoftHSM stands for."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

PIN = "1234"
SLOT = "greengrass"
LABEL = "iotkey"
URI = f"pkcs11:object={LABEL};type=private"
PROVIDERS = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


@cache
def rsa_pem(bits: int = 2048, number: int = 0, form: str = "PKCS8") -> bytes:
    """Return a private key in PEM; the same one for the same arguments."""
    del number
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return key.private_bytes(
        Encoding.PEM,
        PrivateFormat.PKCS8 if form == "PKCS8" else PrivateFormat.TraditionalOpenSSL,
        NoEncryption(),
    )


@cache
def ec_pem() -> bytes:
    """Return a private key that is no RSA key."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def softhsm(folder: Path) -> str:
    """
    Make a token with a key under `folder`, as module 7 of the guide does; return the provider.

    SoftHSM finds its tokens by SOFTHSM2_CONF, which is read when a process loads it: what uses the
    key must be another process, with `softhsm_environment`.
    """
    tool = shutil.which("softhsm2-util")
    provider = next((path for path in PROVIDERS if Path(path).exists()), None)
    if tool is None or provider is None:
        pytest.skip("SoftHSM is not installed (Debian: apt-get install softhsm2)")
    pytest.importorskip("pkcs11", reason="the package python-pkcs11 is not installed")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n"
    )
    (folder / "key.pem").write_bytes(rsa_pem(number=7))
    on_token = ("--token", SLOT, "--pin", PIN)
    for arguments in (
        ["--init-token", "--free", "--label", SLOT, "--so-pin", "12345", "--pin", PIN],
        ["--import", str(folder / "key.pem"), *on_token, "--label", LABEL, "--id", "0000"],
    ):
        subprocess.run(
            [tool, *arguments], env=softhsm_environment(folder), check=True, capture_output=True
        )
    (folder / "key.pem").unlink()
    return provider


def softhsm_environment(folder: Path) -> dict[str, str]:
    """Return the environment in which the tokens under `folder` are there."""
    return {**os.environ, "SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
