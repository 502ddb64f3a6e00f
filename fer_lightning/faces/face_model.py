"""An exported file in use: uint8 faces in, probabilities out, without torch and without the run behind it."""

import functools
import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from fer_lightning.errors import UserError
from fer_lightning.faces.metadata import KEY, Metadata, crop_rule, is_damaged
from fer_lightning.faces.onnx_parts import EXTERNAL, parse_model
from fer_lightning.files import LONGEST_REASON, os_message

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read at the import; without it 1.32 reports each process to its maker
import onnxruntime

INPUT, OUTPUT = "faces", "probabilities"
MAKE = "make one: python -m fer_lightning.export run=PATH"
LARGEST = 2**31 - 1  # bytes of an ONNX file, which protobuf takes
ROUNDING = 1e-3  # largest deviation from 1 of a row's sum
FATAL = 4  # onnxruntime's severity: failures are raised as exceptions with our own messages


class FaceModel:
    """Exported file as a function of crops, uint8 (N, H, W) or (N, H, W, C), to probabilities, float32 (N, K).

    C is 1 (grey) or 3 (RGB). Conversion to grey, scale, normalisation and spatial transformer are part of the file;
    each row of the result sums to 1. Several threads may call it at once. The file is read once: later changes on the
    disk have no effect.

    path      path of the file; UserError if it is missing, damaged, not of this project, or unlike its own metadata
    threads   CPU threads of one call; None: one per core
    metadata  classes in their order, crop rule, and how far the file can be trusted
    content   the file's bytes
    sha256    SHA-256 of these bytes, in hex
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        if threads is not None and (not isinstance(threads, int) or threads < 1):
            raise UserError(f"threads={threads}: must be a whole number, 1 or more. Use null for one thread per core.")
        self.path = Path(path)
        self._stamp = _stamp(self.path)  # before the bytes: a change in between is noticed
        self.content = content = _read(self.path)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.metadata = _checked_metadata(self.path, content)
        self._session = open_session(self.path, content, threads)
        _refuse_other_shapes(self.path, self._session, len(self.metadata.classes))

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        if crops.dtype != np.uint8 or crops.ndim not in (3, 4):
            raise ValueError(f"crops are {crops.dtype} {crops.shape}: expected uint8 (N, H, W) or (N, H, W, C)")
        faces = crops[..., None] if crops.ndim == 3 else crops
        if faces.shape[3] not in (1, 3) or 0 in faces.shape[1:3]:
            raise ValueError(f"crops are {crops.shape}: expected H and W of 1 or more, and C of 1 (grey) or 3 (RGB)")
        if not len(faces):
            return np.zeros((0, len(self.metadata.classes)), np.float32)
        probabilities = self._run(np.ascontiguousarray(faces))
        expected = (len(faces), len(self.metadata.classes))
        if probabilities.shape != expected:
            raise UserError(f"model={self.path}: returned {probabilities.shape}; must be {expected}; {MAKE}.")
        if not (
            ((probabilities >= 0) & (probabilities <= 1)).all()
            and (np.abs(probabilities.sum(axis=1) - 1) < ROUNDING).all()
        ):
            raise UserError(
                f"model={self.path}: returned numbers that are not probabilities (0 to 1, with a sum of 1), so the "
                f"file is damaged or of another program; {MAKE}."
            )
        return probabilities

    def _run(self, faces: np.ndarray) -> np.ndarray:
        """Return what the graph computes. Ctrl-C and SIGTERM end it, although no Python code runs in it."""
        options = onnxruntime.RunOptions()
        compute = functools.partial(self._session.run, [OUTPUT], {INPUT: faces}, options)
        try:
            if threading.current_thread() is not threading.main_thread():
                return compute()[0]
            with ThreadPoolExecutor(1) as pool:  # signals reach only the main thread, which waits and does not compute
                try:
                    return pool.submit(compute).result()[0]
                except BaseException:
                    options.terminate = True
                    raise
        except Exception as error:  # onnxruntime's own classes have no common base but this
            reason = " ".join(str(error).split())[:LONGEST_REASON]
            raise UserError(f"model={self.path}: onnxruntime could not compute with it ({reason}); {MAKE}.") from None

    def replaced(self) -> bool:
        """Return True if the file on the disk has changed or is gone; this object keeps the content that it read."""
        stamp = _stamp(self.path)
        if stamp == self._stamp:
            return False
        try:
            same = hashlib.sha256(self.path.read_bytes()).hexdigest() == self.sha256
        except OSError:
            return True
        if same:
            self._stamp = stamp
        return not same


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise UserError(f"model={path}: a folder. Name the .onnx file in it; {MAKE}.")
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"model={path}: not a regular file; {MAKE}.")
        if path.stat().st_size > LARGEST:
            raise UserError(f"model={path}: more than {LARGEST:,} bytes, so it is not an ONNX file; {MAKE}.")
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"model={path}: no such file. Make one: python -m fer_lightning.export run=PATH.") from None
    except OSError as error:
        raise UserError(f"model={path}: cannot be read ({os_message(error)}).") from None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return inode, size and time of a file, which change when it is replaced; None if the file is missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _checked_metadata(path: Path, content: bytes) -> Metadata:
    try:
        model = parse_model(content)
    except DecodeError:
        model = parse_model(b"")
    if is_damaged(model, content):
        raise UserError(f"model={path}: the file is damaged: its SHA-256 is not the one that was written; {MAKE}.")
    if not model.graph.node:
        raise UserError(f"model={path}: not an ONNX file, or a damaged one ({len(content):,} bytes); {MAKE}.")
    if any(tensor.data_location == EXTERNAL for tensor in _tensors(model)):
        raise UserError(f"model={path}: its weights lie in other files beside it, which are never opened; {MAKE}.")
    texts = [prop.value for prop in model.metadata_props if prop.key == KEY]
    if not texts:
        raise UserError(
            f"model={path}: an ONNX file of another program, without this one's metadata: nobody could say which "
            f"classes it has, in which order, and how its faces are cut; {MAKE}."
        )
    try:
        metadata = Metadata.from_json(texts[0])
        rule = crop_rule(metadata.form)
    except UserError:  # in a file of conf/taxonomy
        raise
    except ValueError as error:
        raise UserError(f"model={path}: its metadata {error}. Export it again; {MAKE}.") from None
    if metadata.crop != rule:
        raise UserError(
            f"model={path}: its faces were cut by {metadata.crop}, and this version cuts by {rule}. Use the version "
            f"that it was exported with (commit {metadata.commit[:10]}), or export it again; {MAKE}."
        )
    return metadata


def _tensors(model: Any) -> Iterator[Any]:
    """Every stored array of a model, in subgraphs and functions too."""
    yield from _tensors_of_graph(model.graph)
    for function in model.functions:
        yield from _tensors_of_attributes(part for node in function.node for part in node.attribute)
        yield from _tensors_of_attributes(function.attribute_proto)


def _tensors_of_graph(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _tensors_of_attributes(part for node in graph.node for part in node.attribute)


def _tensors_of_attributes(attributes: Iterable[Any]) -> Iterator[Any]:
    for attribute in attributes:
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (attribute.g, *attribute.graphs):
            yield from _tensors_of_graph(graph)


def open_session(path: Path, content: bytes, threads: int | None) -> onnxruntime.InferenceSession:
    """Return the network of a file as onnxruntime computes it. Raise UserError with the path if it cannot."""
    onnxruntime.set_default_logger_severity(FATAL)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads, options.inter_op_num_threads = threads or 0, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores are shared with detection
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes have no common base but this
        reason = str(error).partition("\n")[0]
        raise UserError(f"model={path}: onnxruntime {onnxruntime.__version__} cannot run it ({reason}).") from None


def _refuse_other_shapes(path: Path, session: onnxruntime.InferenceSession, num_classes: int) -> None:
    ports = [(port.name, port.type, len(port.shape)) for port in (*session.get_inputs(), *session.get_outputs())]
    if ports != [(INPUT, "tensor(uint8)", 4), (OUTPUT, "tensor(float)", 2)]:
        said = ", ".join(f"{name} {kind} of {size} dimensions" for name, kind, size in ports)
        raise UserError(
            f"model={path}: takes and gives {said}; expected faces uint8 (N, H, W, C) to probabilities; {MAKE}."
        )
    width = session.get_outputs()[0].shape[1]
    if width != num_classes:
        raise UserError(
            f"model={path}: gives {width} probabilities for a face, and its metadata names {num_classes} classes: one "
            f"of the two was changed. Export it again; {MAKE}."
        )
