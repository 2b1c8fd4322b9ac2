"""Files become the batches that are in them, whatever their format, types and blocks, or say what is wrong."""

import decimal
import json
import sys
import zipfile
from typing import Any

import ml_dtypes
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from streammetrics.command import _arrow, _source
from streammetrics.command._columns import NO_CLASS, Entry
from streammetrics.command._errors import Refused
from streammetrics.command._source import Source

ROWS = 1000
FORMATS = ("parquet", "csv", "tsv", "jsonl", "npz")
RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(ROWS, 3)).astype(np.float32)
LABELS = RNG.integers(0, 3, ROWS)
COLUMNS = {**{f"s{k}": SCORES[:, k] for k in range(3)}, "label": LABELS, "weight": RNG.integers(0, 5, ROWS)}

F32, I32 = np.dtype(np.float32), np.dtype(np.int32)
ENTRIES = {
    "predictions": Entry("--predictions", ("s0", "s1", "s2"), 3, F32),
    "targets": Entry("--targets", ("label",), None, I32),
    "weights": Entry("--weights", ("weight",), None, F32),
}
DUE = {"predictions": SCORES, "targets": LABELS, "weights": COLUMNS["weight"]}


def write(path, columns: dict[str, Any]) -> str:
    """A file with these columns, in many small blocks, in the format that its name says."""
    if path.suffix == ".npz":
        np.savez_compressed(path, **columns)
        return str(path)
    table = pa.table(columns)
    if path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=70)
    elif path.suffix in (".csv", ".tsv"):
        csv.write_csv(table, path, csv.WriteOptions(delimiter="," if path.suffix == ".csv" else "\t"))
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in table.to_pylist()))
    return str(path)


def batches(source: Source) -> dict[str, np.ndarray]:
    """All rows of a source, of whose batches all but the last are of one size."""
    found = list(source)
    assert {len(batch["targets"]) for batch in found[:-1]} <= {source.rows}
    assert all(0 < len(array) <= source.rows for batch in found for array in batch.values())
    return {name: np.concatenate([batch[name] for batch in found]) for name in source.entries}


def one(path, columns: dict[str, Any], entry: Entry) -> np.ndarray:
    """The only entry of a file."""
    return batches(Source([write(path, columns)], {"targets": entry}))["targets"]


@pytest.fixture
def small(monkeypatch):
    """Batches of 64 rows, and blocks of 4 KiB."""
    monkeypatch.setattr(_source, "MOST_ROWS", 64)
    monkeypatch.setattr(_arrow, "BLOCK", 4096)


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_rows_bit_for_bit(tmp_path, small, suffix):
    path = write(tmp_path / f"a.{suffix}", COLUMNS | {"unread": np.zeros(ROWS)})
    source = Source([path], ENTRIES)
    for _ in range(2):  # as often as one likes
        found = batches(source)
        for name, array in found.items():
            assert array.dtype == ENTRIES[name].dtype
            np.testing.assert_array_equal(array, DUE[name])
    for place, batch in source.placed():
        assert place.path == path
        rows = slice(place.row - 1, place.row - 1 + len(batch["targets"]))
        np.testing.assert_array_equal(batch["predictions"], SCORES[rows])


def test_several_files_are_one_stream(tmp_path, small):
    cuts = [0, 1, 130, 400, 990, ROWS]
    parts = [
        write(tmp_path / f"{k}.{FORMATS[k]}", {name: array[cuts[k] : cuts[k + 1]] for name, array in COLUMNS.items()})
        for k in range(5)
    ]
    found = batches(Source(parts, ENTRIES))
    for name, array in found.items():
        np.testing.assert_array_equal(array, DUE[name])


def test_a_batch_has_fewer_rows_the_more_values_a_row_has(tmp_path):
    path = write(tmp_path / "a.npz", {"s": np.zeros((2, 1000), np.float32), "y": np.zeros(2, np.int64)})
    wide = {"predictions": Entry("--predictions", ("s",), 1000, F32), "targets": Entry("--targets", ("y",), None, I32)}
    assert Source([path], wide).rows == 2048
    assert Source([path], {"targets": wide["targets"]}).rows == 65_536


TABLE = np.array([[0.5, 1.0], [2.0, 3.0], [4.0, 5.0]], np.float32)


@pytest.mark.parametrize(
    ("suffix", "column"),
    [
        ("parquet", pa.array(TABLE.tolist())),
        ("parquet", pa.array(TABLE.tolist(), pa.large_list(pa.float16()))),
        ("parquet", pa.FixedSizeListArray.from_arrays(pa.array(TABLE.ravel()), 2)),
        ("parquet", pa.FixedShapeTensorArray.from_numpy_ndarray(TABLE)),
        ("jsonl", pa.array(TABLE.tolist())),
        ("npz", TABLE),
        ("npz", TABLE.astype(">f8")),
    ],
)
def test_a_column_may_hold_lists(tmp_path, suffix, column):
    found = one(tmp_path / f"a.{suffix}", {"s": column}, Entry("--predictions", ("s",), 2, F32))
    np.testing.assert_array_equal(found, TABLE)


def test_what_is_missing_among_scores_is_nan(tmp_path):
    scores, lists = Entry("--predictions", ("s",), None, F32), Entry("--predictions", ("s",), 2, F32)
    for suffix in ("parquet", "csv", "jsonl"):
        found = one(tmp_path / f"a.{suffix}", {"s": pa.array([1.5, None, 2.0]), "t": [0, 0, 0]}, scores)
        np.testing.assert_array_equal(found, [1.5, np.nan, 2])
    found = one(tmp_path / "l.parquet", {"s": pa.array([[1, None], None, [2, 3]])}, lists)
    np.testing.assert_array_equal(found, [[1, np.nan], [np.nan, np.nan], [2, 3]])
    np.testing.assert_array_equal(one(tmp_path / "n.parquet", {"s": pa.nulls(2)}, scores), [np.nan, np.nan])
    (tmp_path / "nan.jsonl").write_text('{"s": NaN}\n\n{"s": 1}\n')  # as json.dumps writes it
    np.testing.assert_array_equal(
        batches(Source([str(tmp_path / "nan.jsonl")], {"targets": scores}))["targets"], [np.nan, 1]
    )


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, 2, None, 0], pa.int8()),
        pa.array([1, 2, 2**40, 0]),
        pa.array([1, 2, 2**63, 0], pa.uint64()),
        pa.array([1, 2, None, 0], pa.float16()),
        pa.array([1.0, 2.0, 0.5, 0.0]),
        pa.array([1.0, 2.0, float("inf"), 0.0]),
        pa.array([decimal.Decimal(k) for k in ("1", "2", "0.5", "0")]),
        pa.array(["1", "2.0", None, "cat"]),
        pa.array(["dog", "owl", "", "cat"], pa.large_string()),
        pa.array(["dog", "owl", "NA", "cat"]).dictionary_encode(),
        pa.array([1, 2, -7, 0]).dictionary_encode(),
    ],
    ids=lambda column: f"{column.type} {column[2]}",
)
@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_labels_are_whole_numbers_or_names_and_what_is_neither_is_no_class(tmp_path, suffix, column):
    if suffix != "parquet":  # what these formats can hold
        plain = {pa.decimal128(2, 1): pa.float64(), pa.float16(): pa.float64(), pa.large_string(): pa.string()}
        column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        column = column.cast(plain.get(column.type, column.type))
    entry = Entry("--targets", ("y",), None, I32, ("cat", "dog", "owl"))
    found = one(tmp_path / f"a.{suffix}", {"y": column, "other": [0] * 4}, entry)
    third = -7 if column[2].as_py() == -7 else NO_CLASS
    assert found.tolist() == [1, 2, third, 0]


@pytest.mark.parametrize("suffix", FORMATS)
def test_booleans_are_labels(tmp_path, suffix):
    due, entry = [1, 0, 0, 1], Entry("--targets", ("y",), None, I32)
    assert one(tmp_path / f"a.{suffix}", {"y": np.array(due, bool)}, entry).tolist() == due
    text = np.array(["True", "FALSE", "false", "true"])
    assert one(tmp_path / f"t.{suffix}", {"y": text}, entry).tolist() == due


def test_text_in_npz_is_read_by_the_names_of_the_classes(tmp_path):
    entry = Entry("--targets", ("y",), 2, I32, ("no", "yes"))
    found = one(tmp_path / "a.npz", {"y": np.array([["no", "yes"], ["1", "0"]])}, entry)
    assert found.tolist() == [[0, 1], [1, 0]]


def test_bins_of_a_dtype_take_scores_that_are_values_of_it_however_they_are_stored(tmp_path):
    half = np.array([0.25, np.nan, -1.5], ml_dtypes.bfloat16)
    entry = Entry("--predictions", ("s",), None, half.dtype)
    found = one(tmp_path / "a.parquet", {"s": half.astype(np.float64)}, entry)
    np.testing.assert_array_equal(found.view(np.uint16), half.view(np.uint16))
    assert refusal(tmp_path / "b.parquet", {"s": [0.5, 0.1]}, entry) == (
        "column 's' has 0.1 in row 2 of b.parquet, which is no value of --bins bfloat16"
    )


def refusal(path, columns: dict[str, Any], entry: Entry) -> str:
    """What is said of a file, without its folder."""
    with pytest.raises(Refused) as refused:
        one(path, columns, entry)
    return str(refused.value).replace(f"{path.parent}/", "")


SCORE, LABEL = Entry("--predictions", ("s",), None, F32), Entry("--targets", ("s",), None, I32)
PAIR = Entry("--predictions", ("s",), 2, F32)
NAMED = LABEL._replace(names=("no", "yes"))
LATE = [*map(str, range(100)), "x"]
TEXT = "column 's' holds text, but --predictions takes numbers"
TWO = "but --predictions takes 2, in one column of lists or in a column each"
FORTRAN = "array 's' is in Fortran order, of which no rows can be streamed; save numpy.ascontiguousarray(s)"
DEEP = "array 's' has shape (2, 2, 1), but rows of one or several values are due"
KINDS = "but numbers or text are due"
NONE = "there is no column 's'; it has 't'"
DATES = pa.array([0], pa.timestamp("ms"))
REFUSED = [
    ("a.parquet", ["a", "b"], SCORE, f"a.parquet: {TEXT}"),
    ("a.jsonl", ["a", "b"], SCORE, f"a.jsonl: {TEXT}"),
    ("a.npz", ["a", "b"], SCORE, f"a.npz: {TEXT}"),
    ("a.csv", LATE, SCORE, "column 's' has 'x' in row 101 of a.csv, but must hold numbers"),
    ("a.npz", [0, -1e300], SCORE, "column 's' has -1e+300 in row 2 of a.npz, which is beyond the range of float32"),
    (
        "a.npz",
        [[0, 0], [0, 1e300]],
        PAIR,
        "column 's' has 1e+300 in row 2 of a.npz, which is beyond the range of float32",
    ),
    (
        "a.parquet",
        ["yes", "on"],
        NAMED,
        "column 's' has 'on' in row 2 of a.parquet, but --class-names has 'no' and 'yes'",
    ),
    ("a.csv", ["0", "on"], LABEL, "column 's' has 'on' in row 2 of a.csv, but text needs --class-names"),
    ("a.npz", ["0", "on"], LABEL, "column 's' has 'on' in row 2 of a.npz, but text needs --class-names"),
    ("a.parquet", [[1, 2], [1]], PAIR, "column 's' has a list of 1 in row 2 of a.parquet, but 2 are due"),
    ("a.jsonl", [[1, 2], [1, 2, 3]], PAIR, "column 's' has a list of 3 in row 2 of a.jsonl, but 2 are due"),
    ("a.parquet", [["a"]], LABEL, "a.parquet: column 's' holds lists of text, but --targets takes numbers"),
    ("a.npz", [[1, 2, 3]], PAIR, f"a.npz: column 's' has 3 values a row, {TWO}"),
    ("a.npz", [1, 2], PAIR, f"a.npz: column 's' has one value a row, {TWO}"),
    ("a.npz", [[1, 2]], LABEL, "a.npz: column 's' has 2 values a row, but --targets takes one"),
    ("a.parquet", DATES, LABEL, "a.parquet: column 's' holds timestamp[ms], but --targets takes numbers"),
    ("a.npz", np.array([{}, None]), LABEL, f"a.npz: array 's' holds Python objects, {KINDS}"),
    ("a.npz", np.zeros(2, complex), SCORE, f"a.npz: array 's' holds values of dtype complex128, {KINDS}"),
    ("a.npz", np.zeros((2, 2), order="F"), PAIR, f"a.npz: {FORTRAN}"),
    ("a.npz", np.zeros((2, 2, 1)), PAIR, f"a.npz: {DEEP}"),
    *((f"a.{suffix}", None, SCORE, f"a.{suffix}: {NONE}") for suffix in FORMATS),
]


@pytest.mark.parametrize(("name", "column", "entry", "due"), REFUSED, ids=[due for *_, due in REFUSED])
def test_what_a_column_must_not_hold_is_one_sentence(tmp_path, small, name, column, entry, due):
    assert refusal(tmp_path / name, {"t": [1]} if column is None else {"s": column}, entry) == due


def test_a_column_that_a_later_file_lacks_is_refused_before_anything_is_read(tmp_path):
    good = write(tmp_path / "a.npz", COLUMNS)
    bad = write(tmp_path / "b.npz", {f"c{k}": np.zeros(1) for k in range(25)})
    with pytest.raises(Refused, match=r"b.npz: there is no column 's0'; it has 'c0', .* 'c19' and 5 more$"):
        Source([good, bad], ENTRIES)


def test_a_column_that_a_later_block_lacks_is_refused(tmp_path, small):
    lines = ['{"s": 1, "t": 1}\n'] * 1000 + ['{"t": 1}\n'] * 1000
    (tmp_path / "a.jsonl").write_text("".join(lines))
    with pytest.raises(Refused, match=r"a.jsonl: there is no column 's'; it has 't'"):
        list(Source([str(tmp_path / "a.jsonl")], {"targets": SCORE}))


SMALL = "Parquet file size is 5 bytes, smaller than the minimum file footer (8 bytes)"
KNOWN = "files of '.parquet', '.pq', '.csv', '.tsv', '.jsonl', '.ndjson', '.json' and '.npz' are read"
LINES = b'{"s": 1}\n' * 1001
CHANGED = "JSON parse error: Column(/s) changed from number to string in row 1,002 of a.jsonl"
BROKEN = [
    ("a.parquet", b"hello", f"a.parquet: {SMALL}"),
    ("a.csv", b"s,t\n1,2\n3\n", "a.csv: CSV parse error: Expected 2 columns, got 1: 3"),
    ("a.csv", b"", "a.csv: there is no column 's'; it has none"),
    ("a.csv", b"\xff,s\n1,2\n", "a.csv: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ("a.jsonl", LINES + b'{"s": "x"}\n', CHANGED),
    ("a.json", b'[{"s": 1}]', "JSON parse error: Column() changed from object to array in row 1 of a.json"),
    ("a.npz", b"hello", "a.npz: File is not a zip file"),
    ("a.txt", b"1\n", f"a.txt: the name ends in '.txt', but {KNOWN}"),
    ("a", b"1\n", f"a: the name ends in '', but {KNOWN}"),
    *((f"a.{suffix}", None, f"a.{suffix}: No such file or directory") for suffix in FORMATS),
]


@pytest.mark.parametrize(("name", "content", "due"), BROKEN, ids=[due for *_, due in BROKEN])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, monkeypatch, name, content, due):
    monkeypatch.setattr(_arrow, "BLOCK", 8995)  # the first 1,000 lines of JSON
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(Refused) as refused:
        list(Source([name], {"targets": SCORE}))
    assert str(refused.value) == due


def test_archives_that_are_damaged_or_of_uneven_arrays_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pair = {"predictions": SCORE, "targets": LABEL._replace(columns=("y",))}
    np.savez("uneven.npz", s=np.zeros(1000), y=np.zeros(999))
    np.savez_compressed("damaged.npz", s=RNG.random(5000), y=np.zeros(5000))
    data = bytearray((tmp_path / "damaged.npz").read_bytes())
    data[20_000:20_010] = bytes(10)
    (tmp_path / "damaged.npz").write_bytes(data)
    with pytest.raises(Refused, match=r"^uneven.npz: the arrays must .*, but there are 1,000 in 's' and 999 in 'y'$"):
        list(Source(["uneven.npz"], pair))
    with pytest.raises(Refused, match=r"^damaged.npz: .*[^.]$"):
        list(Source(["damaged.npz"], pair))


def test_an_array_that_is_shorter_than_it_says_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("a.npz", "w") as archive, archive.open("s.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "<f8", "fortran_order": False, "shape": (1000,)})
        member.write(bytes(80))
    with pytest.raises(Refused, match=r"^a.npz: array 's' ends before its last row$"):
        list(Source(["a.npz"], {"targets": SCORE}))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_without_rows_has_no_batches(tmp_path, suffix):
    path = write(tmp_path / f"a.{suffix}", {name: array[:0] for name, array in COLUMNS.items()})
    assert list(Source([path], ENTRIES)) == []


def test_only_arrow_formats_need_pyarrow(tmp_path, monkeypatch):
    paths = {suffix: write(tmp_path / f"a.{suffix}", COLUMNS) for suffix in FORMATS}
    for name in [name for name in sys.modules if name.split(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert len(batches(Source([paths["npz"]], ENTRIES))["targets"]) == ROWS
    for suffix in ("parquet", "csv", "jsonl"):
        with pytest.raises(
            Refused, match=r"needs pyarrow, which is not installed: pip install 'streammetrics\[files\]'$"
        ):
            Source([paths[suffix]], ENTRIES)
