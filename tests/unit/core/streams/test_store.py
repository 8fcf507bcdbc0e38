# SPDX-License-Identifier: Apache-2.0

import pytest

from greengrass_sdk.core.streams.store import FolderStore, MemoryStore
from greengrass_sdk.model.stream import ExportStatus, MessageStreamDefinition, StrategyOnFull


def definition(name="readings", **options):
    return MessageStreamDefinition(
        name, strategy_on_full=StrategyOnFull.OverwriteOldestData, **options
    )


def status(last, identifier="k"):
    return ExportStatus(identifier, last, 1000, "why", 50, 5)


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    store = FolderStore(tmp_path / "streams") if request.param == "folder" else MemoryStore()
    store.load()
    yield store
    store.close()


@pytest.fixture
def reopened(store):
    """Return a call that opens the place of `store` anew, as the next run of the core does."""
    opened = []

    def reopen():
        if isinstance(store, MemoryStore):
            return store
        store.close()
        opened.append(FolderStore(store.folder))
        return opened[-1]

    yield reopen
    for each in opened:
        each.close()


def test_a_stream_that_was_added_is_loaded(store, reopened):
    added = store.add(definition())
    added.files.open("x").write(0, b"data")
    [loaded] = reopened().load()
    assert (added.number, added.definition) == (loaded.number, loaded.definition)
    assert b"data" == loaded.files.open("x").read(0, 10)


def test_a_name_that_is_no_name_of_a_file_is_kept(store, reopened):
    names = ["..", "Ä" * 255, " "]
    for name in names:
        store.add(definition(name))
    assert names == [stored.definition.name for stored in reopened().load()]


def test_a_definition_that_was_changed_is_loaded_so(store, reopened):
    added = store.add(definition())
    store.change(added.number, definition(max_size=5000))
    assert [5000] == [stored.definition.max_size for stored in reopened().load()]


def test_a_stream_that_was_removed_is_gone_with_its_data_and_its_exports(store, reopened):
    added = store.add(definition())
    added.files.open("x").write(0, b"data")
    store.save_export(added.number, status(3))
    store.remove(added.number)
    assert {} == store.exports(added.number)
    assert [] == reopened().load()


def test_how_far_an_export_is_survives_but_not_why_it_stands_still(store, reopened):
    added = store.add(definition())
    assert {} == store.exports(added.number)
    store.save_export(added.number, status(3))
    store.save_export(added.number, status(4))
    store = reopened()
    store.load()
    assert {"k": status(4).replaced(error_message=None)} == store.exports(added.number)
    store.forget_export(added.number, "k")
    assert {} == store.exports(added.number)


def test_numbers_are_not_given_twice_while_a_stream_is_there(store, reopened):
    numbers = [store.add(definition(name)).number for name in ("a", "b")]
    store = reopened()
    store.load()
    assert store.add(definition("c")).number not in numbers


def test_a_folder_belongs_to_one_core(tmp_path):
    first, second = FolderStore(tmp_path), FolderStore(tmp_path)
    first.load()
    with pytest.raises(OSError, match="belongs to the streams of another core"):
        second.load()
    first.close()
    second.load()
    second.close()


def test_what_the_core_was_making_or_deleting_when_it_ended_is_gone(tmp_path):
    (tmp_path / "000001").mkdir()
    (tmp_path / "000002.deleted").mkdir()
    (tmp_path / "000002.deleted" / "x").write_bytes(b"x")
    store = FolderStore(tmp_path)
    assert [] == store.load()
    assert ["lock"] == [path.name for path in tmp_path.iterdir()]
    store.close()


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"definition": {"name": "a/b"}}'])
def test_a_definition_that_cannot_be_read_is_told_and_left_alone(tmp_path, caplog, content):
    (tmp_path / "000001").mkdir()
    (tmp_path / "000001" / "stream.json").write_text(content)
    store = FolderStore(tmp_path)
    assert [] == store.load()
    assert "its stream is left alone" in caplog.text
    assert content == (tmp_path / "000001" / "stream.json").read_text()
    assert 2 == store.add(definition()).number
    store.close()


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "notes").mkdir()
    store = FolderStore(tmp_path)
    assert [] == store.load()
    store.close()
    assert (tmp_path / "notes").is_dir()


def test_exports_that_cannot_be_kept_are_an_error_of_the_disk(tmp_path):
    store = FolderStore(tmp_path)
    store.load()
    (tmp_path / "exports.db").write_bytes(b"no database" * 100)
    with pytest.raises(OSError, match=r"exports\.db"):
        store.save_export(1, status(1))
    store.close()


def test_a_stream_is_deleted_also_if_its_exports_cannot_be_forgotten(tmp_path, caplog):
    store = FolderStore(tmp_path)
    store.load()
    number = store.add(definition()).number
    (tmp_path / "exports.db").write_bytes(b"no database" * 100)
    store.remove(number)
    assert "while a stream was deleted" in caplog.text
    store.close()
    store = FolderStore(tmp_path)
    assert [] == store.load()
    store.close()


def test_a_new_stream_has_no_exports_of_one_that_was_deleted(tmp_path):
    store = FolderStore(tmp_path)
    store.load()
    store.save_export(1, status(5))
    assert {} == store.exports(store.add(definition()).number)
    store.close()


def test_a_stream_that_cannot_be_made_leaves_nothing(tmp_path):
    store = FolderStore(tmp_path)
    store.load()
    (tmp_path / "000001").write_bytes(b"")
    with pytest.raises(OSError, match="000001"):
        store.add(definition())
    store.close()
