# SPDX-License-Identifier: Apache-2.0
"""Which file is uploaded, and what its object is called."""

from __future__ import annotations

import os

import pytest

from greengrass_sdk.core.streams.exporters import s3files

AT = 1_584_709_505.75  # Friday, 2020-03-20, 13:05:05 UTC


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("yyyy/MM/dd", "2020/03/20"),
        ("yy/M/d", "20/3/20"),
        ("MMM/MMMM", "Mar/March"),
        ("HH/mm/ss/SSS", "13/05/05/750"),
        ("hh/a", "01/PM"),
        ("K/k", "1/13"),
        ("DDD/D", "080/80"),
        ("E/EEEE/u", "Fri/Friday/5"),
        ("YYYY/ww", "2020/12"),
        ("z/Z/X", "UTC/+0000/Z"),
    ],
)
def test_a_timestamp_has_the_letters_of_java(pattern, expected):
    assert f"a/{expected}/b" == s3files.expand(f"a/!{{timestamp:{pattern}}}/b", AT)


def test_a_key_may_have_several_or_none():
    assert "plain" == s3files.expand("plain", AT)
    assert "2020-03" == s3files.expand("!{timestamp:yyyy}-!{timestamp:MM}", AT)


@pytest.mark.parametrize("key", ["!{date:yyyy}", "!{timestamp:jj}"])
def test_what_stands_for_nothing_is_refused(key):
    with pytest.raises(ValueError, match="the key has a"):
        s3files.expand(key, AT)


def test_a_file_is_found_by_its_url(tmp_path):
    file = tmp_path / "with space"
    file.write_text("x")
    folders = [tmp_path]
    assert file == s3files.path_of(f"file://{tmp_path}/with%20space", folders)
    assert file == s3files.path_of(f"file://localhost{tmp_path}/with%20space", folders)
    assert file == s3files.path_of(str(file), folders)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://host/a", ValueError),
        ("file://other/a", ValueError),
        ("a/relative", ValueError),
        ("file:///dev/null", ValueError),
        ("file:///none/at/all", OSError),
    ],
)
def test_what_is_no_file_of_this_host_is_refused(url, error):
    with pytest.raises(error):
        s3files.path_of(url, [])


def test_a_link_out_of_a_folder_is_followed_and_refused(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    inside.mkdir()
    outside.write_text("x")
    (inside / "link").symlink_to(outside)
    for url in (f"{inside}/link", f"{inside}/../outside"):
        with pytest.raises(ValueError, match="not below a folder of read_only_dirs"):
            s3files.path_of(url, [inside])


def test_root_reads_for_others_only_what_they_could_read(tmp_path, monkeypatch):
    file = tmp_path / "private"
    file.write_text("x")
    file.chmod(0o600)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ValueError, match="not readable to everybody"):
        s3files.path_of(str(file), [])
    assert file == s3files.path_of(str(file), [tmp_path])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert file == s3files.path_of(str(file), [])


@pytest.mark.parametrize(("metadata", "expected"), [(None, {}), ({"a": "b"}, {"a": "b"})])
def test_metadata_are_texts(metadata, expected):
    assert expected == s3files.check_metadata(metadata)


@pytest.mark.parametrize("metadata", [[], "a", {"a": 1}, {1: "a"}], ids=range(4))
def test_other_metadata_are_refused(metadata):
    with pytest.raises(ValueError, match="userMetadata"):
        s3files.check_metadata(metadata)
