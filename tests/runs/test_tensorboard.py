"""Event files: one session a process, nothing that stops a run."""

from __future__ import annotations

import importlib.util
import json
import sys
import types

import pytest

from gan_jax.runs.tensorboard import EventFile

ROW = {"step": 40, "train": {"loss": 0.5, "rate": None}, "evaluation": {"batch": {"modes": 3, "counts": [1, 2]}}}


class Fields(dict):
    def __init__(self, **fields):
        super().__init__(fields)

    def SerializeToString(self):
        return json.dumps({name: value for name, value in self.items() if name != "wall_time"}).encode()


class Writer:
    written: list
    fails = False

    def __init__(self, path):
        self.path, Writer.written = path, []

    def write(self, data):
        if Writer.fails:
            raise OSError(28, "No space left on device")
        Writer.written.append(json.loads(data))

    def flush(self):
        pass

    close = flush


@pytest.fixture
def written(monkeypatch):
    """What tensorboardX, replaced here by what the project uses of it, is given to write."""
    names = ("tensorboardX", "tensorboardX.proto", "tensorboardX.proto.event_pb2", "tensorboardX.record_writer")
    modules = {name: types.ModuleType(name) for name in (*names, "tensorboardX.summary")}
    session = type("SessionLog", (Fields,), {"START": 1})
    vars(modules["tensorboardX.proto.event_pb2"]).update(Event=Fields, SessionLog=session)
    modules["tensorboardX.record_writer"].RecordWriter = Writer
    modules["tensorboardX.summary"].scalar = lambda tag, value: {tag: value}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(Writer, "fails", False)
    return Writer


def test_a_session_begins_with_the_step_from_which_former_events_are_dropped(written, tmp_path):
    events = EventFile(tmp_path, 20)
    events.write(ROW)
    events.close()
    begin = {"step": 21, "session_log": {"status": 1}}
    assert written.written[:2] == [{"step": 21, "file_version": "brain.Event:2"}, begin]
    assert [(event["step"], event["summary"]) for event in written.written[2:]] == [
        (40, {"train/loss": 0.5}),
        (40, {"evaluation/batch/modes": 3}),
    ]


def test_a_full_disk_is_told_once_and_stops_nothing(written, tmp_path, monkeypatch, caplog):
    events = EventFile(tmp_path, 0)
    monkeypatch.setattr(written, "fails", True)
    for _ in range(3):
        events.write(ROW)
    events.close()
    assert [record.getMessage().count("No space left") for record in caplog.records] == [1]
    EventFile(tmp_path, 0).write(ROW)
    assert len(caplog.records) == 2


@pytest.mark.skipif(importlib.util.find_spec("tensorboardX") is None, reason="tensorboardX is not installed")
def test_the_files_are_those_of_tensorboard(tmp_path):
    import struct

    from tensorboardX.proto.event_pb2 import Event

    for start in (0, 20):
        events = EventFile(tmp_path, start)
        events.write(ROW)
        events.close()
    found = {}
    for path in tmp_path.glob("*tfevents*"):
        data, place, events = path.read_bytes(), 0, []
        while place < len(data):
            (size,) = struct.unpack_from("<Q", data, place)
            events.append(Event.FromString(data[place + 12 : place + 12 + size]))
            place += size + 16
        found[events[1].step] = [(event.step, len(event.summary.value)) for event in events[2:]]
        assert events[1].HasField("session_log")
    assert found[21] == [(40, 1), (40, 1)]
