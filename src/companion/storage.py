"""Files that are there whole or not at all, and checkpoints that are the very bytes that were saved."""

import hashlib
import io
import os
import pickle
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

UNFINISHED = ".unfinished"  # the end of a file's name while it is being written; git ignores it
LEFT_BEHIND = 3600  # seconds after which such a file is one that a killed run left
HEAD = b"companion checkpoint, sha256 "


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why in one sentence."""


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file so that it is there whole or not at all: under another name first, then moved.

    The file gets the rights that the umask leaves. What a killed run left half-written of the same file is removed.

    Raises:
        TrainingError: it could not be written, for example on a full disk; an older file of that name is untouched.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for other in path.parent.glob(f".{path.name}.*{UNFINISHED}"):
            with suppress(FileNotFoundError):  # another run may have finished it meanwhile
                if time.time() - other.stat().st_mtime > LEFT_BEHIND:
                    other.unlink()
        write(scratch)
        with open(scratch, "rb+") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    except (OSError, RuntimeError) as error:  # torch.save reports a failed write as RuntimeError
        reason = getattr(error, "strerror", None) or "the write broke off, perhaps for want of space"
        raise TrainingError(f"{path} could not be written ({reason}); what was there before is unchanged.") from error
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, with a checksum before it, since `torch.load` compares none.

    Raises:
        TrainingError: it could not be written.
    """
    content = io.BytesIO()
    torch.save(state, content)
    content = content.getvalue()
    head = HEAD + hashlib.sha256(content).hexdigest().encode() + b"\n"
    write_whole(path, lambda scratch: scratch.write_bytes(head + content))


def load_checkpoint(path: Path, parts: set[str], device: str = "cpu") -> dict[str, Any]:
    """Read a checkpoint that has these parts.

    Raises:
        TrainingError: a byte of it is not what was saved, a part is missing, or it cannot be read.
    """
    try:
        head, _, content = path.read_bytes().partition(b"\n")
        if head == HEAD + hashlib.sha256(content).hexdigest().encode():
            state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            if isinstance(state, dict) and parts <= state.keys():
                return state
    except OSError as error:
        raise TrainingError(f"The checkpoint {path} cannot be read ({error.strerror}).") from error
    except pickle.UnpicklingError:  # it holds more than tensors, numbers and texts: code that would be run
        pass
    raise TrainingError(f"The checkpoint {path} is broken, or of an earlier version; delete it to start afresh.")
