"""Files that are replaced as a whole, lines that tear, and what a CSV file of numbers reads as."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from broken_files import breaking, operations_of

from savo_bench.results import files
from savo_bench.results.files import CorruptFile

HEADER = ["step", "episode", "return", "length"]


def names(path):
    return sorted(p.name for p in path.iterdir())


def test_json_is_read_back_and_leaves_no_temporary_file(tmp_path):
    value = {"a": [1, 2.5, None, True], "b": {"c": "μ"}}
    for durable in (True, False):
        files.write_json(tmp_path / "x.json", value, durable=durable)
        assert files.read_json(tmp_path / "x.json") == value
    assert names(tmp_path) == ["x.json"]


def test_json_takes_numpy_numbers_and_writes_null_for_nan(tmp_path):
    files.write_json(
        tmp_path / "x.json", {"a": np.float32(0.5), "b": np.int64(3), "c": float("nan"), "d": (1, tmp_path)}
    )
    assert files.read_json(tmp_path / "x.json") == {"a": 0.5, "b": 3, "c": None, "d": [1, str(tmp_path)]}
    with pytest.raises(TypeError, match="no place in a JSON file"):
        files.write_json(tmp_path / "x.json", object())


def test_a_file_stays_as_it_was_when_its_replacement_fails(tmp_path):
    path = tmp_path / "state.pt"
    path.write_bytes(b"old")

    def fail_half_way():
        with files.replacing(path) as file:
            file.write(b"new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail_half_way()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["state.pt"]


def of_folders(monkeypatch, name, code):
    """Let `os.fsync` or `os.open` answer an error where it is asked for a folder, as some file systems do."""
    function = getattr(os, name)

    def answering(target, *arguments, **keywords):
        path = f"/proc/self/fd/{target}" if isinstance(target, int) else target
        if os.path.isdir(path):  # noqa: PTH112 - a descriptor's
            raise OSError(code, os.strerror(code))
        return function(target, *arguments, **keywords)

    monkeypatch.setattr(os, name, answering)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are looked up in /proc")
@pytest.mark.parametrize(
    ("name", "code"),
    [
        *(("fsync", code) for code in (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF)),
        *(("open", code) for code in (errno.EACCES, errno.EISDIR)),
    ],
)
def test_a_file_system_that_syncs_no_folders_keeps_files_all_the_same(tmp_path, monkeypatch, name, code):
    of_folders(monkeypatch, name, code)
    for value in (1, 2):
        files.write_json(tmp_path / "x.json", value)
        assert files.read_json(tmp_path / "x.json") == value
    assert names(tmp_path) == ["x.json"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are looked up in /proc")
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE])
def test_a_folder_that_fails_to_be_synced_is_named(tmp_path, monkeypatch, code):
    of_folders(monkeypatch, "fsync", code)
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        files.write_json(tmp_path / "x.json", 1)
    assert caught.value.filename == str(tmp_path)


def test_a_file_that_cannot_be_synced_is_an_error_whatever_the_reason(tmp_path, monkeypatch):
    def fsync(_):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Invalid argument"):
        files.write_json(tmp_path / "x.json", 1)
    assert names(tmp_path) == []


def test_unreadable_json_is_named(tmp_path):
    for content in (b'{"a": 1', b"", b"\xff\xfe"):
        (tmp_path / "x.json").write_bytes(content)
        with pytest.raises(CorruptFile, match=r"x\.json: not valid JSON"):
            files.read_json(tmp_path / "x.json")


def test_rows_are_appended_and_floats_read_back_exactly(tmp_path):
    path = tmp_path / "evals.csv"
    numbers = [0.1, 1 / 3, 1e-310, -1.7976931348623157e308, float(np.float32(0.1))]
    length = files.append_csv(path, HEADER, [(100, 0, numbers[0], 7), (100, 1, np.float64(numbers[1]), np.int32(8))])
    assert length == path.stat().st_size
    files.append_csv(path, HEADER, [(200, i, x, True) for i, x in enumerate(numbers[2:])])
    assert path.read_text().startswith(
        "step,episode,return,length\n100,0,0.1,7\n100,1,0.3333333333333333,8\n200,0,1e-310,1"
    )
    assert files.read_csv(path)["return"].tolist() == numbers


def test_cutting_back_and_appending_again_gives_the_same_bytes(tmp_path):
    path = tmp_path / "evals.csv"
    length = files.append_csv(path, HEADER, [(100, 0, 1.5, 3)])
    files.append_csv(path, HEADER, [(200, 0, 2.5, 3)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(CorruptFile, match="torn line"):
        files.append_csv(path, HEADER, [(200, 0, 2.5, 3)])
    files.truncate(path, length)
    files.append_csv(path, HEADER, [(200, 0, 2.5, 3)])
    assert path.read_bytes() == whole
    files.truncate(path, 0)
    files.append_csv(path, HEADER, [(100, 0, 1.5, 3), (200, 0, 2.5, 3)])
    assert path.read_bytes() == whole


def test_truncate_refuses_a_file_that_is_too_short(tmp_path):
    files.truncate(tmp_path / "none.csv", 0)
    assert names(tmp_path) == []
    with pytest.raises(CorruptFile, match="0 bytes long where the checkpoint names 5"):
        files.truncate(tmp_path / "none.csv", 5)


def test_append_refuses_what_does_not_fit(tmp_path):
    path = tmp_path / "evals.csv"
    files.append_csv(path, HEADER, [(100, 0, 1.5, 3)])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="3 values under a header of 4"):
        files.append_csv(path, HEADER, [(100, 0, 1.5)])
    with pytest.raises(ValueError, match="its columns are not step"):
        files.append_csv(path, ["step"], [(100,)])
    with pytest.raises(ValueError, match="'a,b' is no number"):
        files.append_csv(path, HEADER, [(100, 0, 1.5, "a,b")])
    assert path.read_bytes() == before


def test_a_full_disk_leaves_whole_lines(tmp_path, run_python):
    # a limit on the file's size fails a write half-way, as a full disk does
    path = tmp_path / "evals.csv"
    code = f"""
import resource, signal
from pathlib import Path
from savo_bench.results import files
path = Path({str(path)!r})
length = files.append_csv(path, ["step", "x"], [(1, 0.5)])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (length + 5, resource.RLIM_INFINITY))
try:
    files.append_csv(path, ["step", "x"], [(2, 0.5), (3, 0.5)])
except OSError:
    print("failed")
"""
    assert run_python(code).stdout == "failed\n"
    assert path.read_text() == "step,x\n1,0.5\n"


def test_a_torn_last_line_is_left_out_and_named(tmp_path):
    path = tmp_path / "evals.csv"
    files.append_csv(path, HEADER, [(100, 0, 1.5, 3), (200, 0, 2.5, 30)])
    whole = path.read_bytes()
    assert "torn" not in files.read_csv(path).attrs
    for cut in range(1, len(whole)):
        path.write_bytes(whole[:cut])
        frame = files.read_csv(path)
        assert len(frame) == max(0, whole[:cut].count(b"\n") - 1)
        assert ("torn" in frame.attrs) == (whole[cut - 1 : cut] != b"\n")
    assert files.read_csv(path).attrs["torn"] == f"{path}: torn last line left out: '200,0,2.5,30'"


def test_files_without_rows_read_as_empty_frames(tmp_path):
    path = tmp_path / "evals.csv"
    path.write_bytes(b"")
    assert len(files.read_csv(path)) == 0
    path.write_bytes(b"step,episode\n")
    assert files.read_csv(path).columns.tolist() == ["step", "episode"]
    with pytest.raises(FileNotFoundError):
        files.read_csv(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"1,2", "line 3"),
        (b"1,2,3,4,5", "line 3"),
        (b"", "line 3"),
        (b"\0,1,2,3", "line 3, column step: '\\\\x00'"),
        (b"1,2,x,4", "line 3, column return: 'x'"),
    ],
)
def test_a_broken_line_in_the_middle_is_named(tmp_path, line, message):
    path = tmp_path / "evals.csv"
    path.write_bytes(b"step,episode,return,length\n100,0,1.5,3\n" + line + b"\n200,0,2.5,3\n")
    with pytest.raises(CorruptFile, match=message):
        files.read_csv(path)


def test_nan_and_missing_values_read_as_nan(tmp_path):
    path = tmp_path / "train.csv"
    files.append_csv(path, ["step", "loss"], [(1, float("nan")), (2, None), (3, float("inf"))])
    assert files.read_csv(path)["loss"].tolist()[2] == float("inf")
    assert files.read_csv(path)["loss"].isna().tolist() == [True, True, False]


def test_only_numbers_are_read_as_numbers(tmp_path):
    path = tmp_path / "train.csv"
    for word in ("NA", "null", "True", '"1"', "#", "1 5", "0x1F", "2020-01-01"):
        path.write_text(f"step,loss\n1,{word}\n")
        with pytest.raises(CorruptFile, match=f"line 2, column loss: '{word}' is no number"):
            files.read_csv(path)


def test_columns_are_integers_only_where_every_cell_is(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("a,b,c,d\n1,1,1,\n-2,2.5,,nan\n")
    assert files.read_csv(path).dtypes.map(str).tolist() == ["int64", "float64", "float64", "float64"]


def test_every_float_is_read_back_bit_by_bit(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2**63, 20_000)
    values = bits.view(float)[np.isfinite(bits.view(float))]
    files.append_csv(tmp_path / "x.csv", ["x"], [(value,) for value in values])
    assert files.read_csv(tmp_path / "x.csv")["x"].to_numpy().tobytes() == values.tobytes()


# ---- unfinished files


def unfinished(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "index.html"
    with files.replacing(path) as first, files.replacing(path) as second:
        first.write(b"first")
        second.write(b"second")
        assert len(unfinished(tmp_path)) == 2
    assert path.read_bytes() == b"first"  # which ended last
    assert unfinished(tmp_path) == []


WRITER = """
import sys
from pathlib import Path
from savo_bench.results import files
path, letter = Path(sys.argv[1]), sys.argv[2].encode()
for _ in range(30):
    with files.replacing(path, durable=False) as file:
        for _ in range(20):
            file.write(letter * 5_000)
            file.flush()
    content = path.read_bytes()
    assert len(content) == 100_000 and len(set(content)) == 1, (len(content), set(content))
"""


def test_processes_that_write_one_file_at_once_all_succeed_and_show_no_half_of_it(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "r.md"), letter]) for letter in "abc"]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert unfinished(tmp_path) == []


def test_what_killed_writers_left_is_deleted_and_nothing_else(tmp_path):
    now = time.time()
    kept = {".bench-0123abcd.tmp.json": now, ".bench-notes": 1, ".status.json.tmp": 1, "bench-0123abcd.tmp": 1}
    for name, modified in ({".bench-0123abcd.tmp.pt": 1, ".bench-ffffffff.tmp.gif": now + 1e8} | kept).items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (modified, modified))
    files.write_json(tmp_path / "status.json", {}, durable=False)
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "status.json"}


def test_a_film_and_a_state_are_written_under_names_of_their_own(tmp_path, monkeypatch):
    pytest.importorskip("torch")  # this package is also tested where only what it needs is installed
    from savo_bench.bench import film
    from savo_bench.bench.training import checkpoint

    picture = np.zeros((4, 4, 3), np.uint8)
    with film.writing(tmp_path / "a.gif", 25.0) as first, film.writing(tmp_path / "a.gif", 25.0) as second:
        first(picture)
        second(picture)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]
    checkpoint.stage(tmp_path, 5, {"x": 1})
    monkeypatch.setattr(checkpoint, "_PROCESS", "00000000")
    checkpoint.stage(tmp_path, 5, {"x": 2})
    assert len(unfinished(tmp_path)) == 2
    checkpoint.discard_after(tmp_path, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


# ---- what cannot be read


def test_an_error_names_its_file_where_the_system_does_not(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "evals.csv").write_text("a\n1\n")
    for read in (files.read_json, files.read_csv, files.read_bytes, files.read_json_lines):
        for name in ("run.json", "evals.csv"):
            path = tmp_path / name
            reading = next(each for each in operations_of(tmp_path, path.read_bytes) if each.name == "read")
            with (
                breaking(tmp_path, reading, errno.EIO),
                pytest.raises(OSError, match="Input/output") as caught,
            ):
                read(path)
            assert files.said(caught.value) == f"{path}: Input/output error"


def test_a_link_that_leads_nowhere_is_no_missing_file(tmp_path):
    (tmp_path / "link").symlink_to("/mnt/gone")
    (tmp_path / "file").touch()
    said = f"{tmp_path / 'link'}: a link to /mnt/gone, which is not there"
    for read in (files.read_bytes, files.read_json, files.names_in, files.folders_in, files.read_json_lines):
        for path in (tmp_path / "link", tmp_path / "link" / "below" / "it"):
            with pytest.raises(files.DanglingLink) as caught:
                read(path)
            assert files.said(caught.value) == said
    assert files.names_in(tmp_path / "none") == files.folders_in(tmp_path / "file") == []
    with pytest.raises(FileNotFoundError):
        files.read_bytes(tmp_path / "none")
    assert files.folders_in(tmp_path) == [tmp_path / "link"]


def test_a_folder_is_made_with_those_above_it_and_one_that_is_there_stays(tmp_path):
    for _ in range(2):
        files.make_folder(tmp_path / "a" / "b")
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    files.make_folder(tmp_path / "linked" / "b")
    assert names(tmp_path / "a") == ["b"]
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        files.make_folder(tmp_path / "file")


@pytest.mark.parametrize("code", [errno.ELOOP, errno.EACCES, errno.EIO])
def test_a_folder_that_cannot_be_looked_at_is_no_existing_file(tmp_path, code):
    path = tmp_path / "there"
    path.mkdir()
    operations = operations_of(tmp_path, lambda: files.make_folder(path))
    assert [operation.name for operation in operations] == ["mkdir", "stat"]
    with breaking(tmp_path, 1, code), pytest.raises(OSError, match=os.strerror(code)):
        files.make_folder(path)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize(("below", "number"), [("new", 0), ("new/below", 1)])
def test_a_folder_that_cannot_be_made_says_why(tmp_path, code, below, number):
    """The first `mkdir` of new/below meets that new is not there; the second one is that of new."""
    with breaking(tmp_path, number, code), pytest.raises(OSError, match=os.strerror(code)):
        files.make_folder(tmp_path / below)
    assert names(tmp_path) == []


def test_no_folder_is_made_through_a_link_that_leads_nowhere(tmp_path):
    (tmp_path / "link").symlink_to("/mnt/gone")
    for path in (tmp_path / "link", tmp_path / "link" / "below"):
        with pytest.raises(files.DanglingLink):
            files.make_folder(path)
