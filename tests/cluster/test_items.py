import io
import os
import re
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ssnan.cluster.items import Item, ItemsError, StoreError, contents, find_items, named_apart
from ssnan.io.storing import png_info


def write(path, content=b"one"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(items):
    return [item.name for item in items]


def test_folders_patterns_and_files(tmp_path):
    for name in ("b.jpg", "a.png", "notes.md", "deep/c.jpg"):
        write(tmp_path / "in" / name)
    assert names(find_items([str(tmp_path / "in")])) == ["a", "b"]
    assert names(find_items([str(tmp_path / "in")], recursive=True)) == ["a", "b", "deep/c"]
    assert names(find_items([str(tmp_path / "in" / "*.jpg"), str(tmp_path / "in" / "a.png")])) == ["b", "a"]


def test_results_are_no_items_unless_they_are_given(tmp_path):
    write(tmp_path / "a.jpg")
    result = tmp_path / "catalog" / "a.png"
    result.parent.mkdir()
    Image.new("L", (3, 2)).save(result, pnginfo=png_info(photo="a.jpg"))
    Image.new("L", (3, 2)).save(tmp_path / "catalog" / "b.png")
    found = ["a", "catalog/b"]
    assert names(find_items([str(tmp_path)], recursive=True)) == found
    assert names(find_items([f"file://{tmp_path}"], recursive=True)) == found
    assert names(find_items([str(tmp_path / "catalog" / "*.png")])) == ["b"]
    assert names(find_items([str(result)])) == ["a"]


def test_an_input_without_a_photo_is_named(tmp_path):
    write(tmp_path / "a.jpg")
    for empty in ("empty", "*.tif", "list.txt"):
        write(tmp_path / "empty" / "notes.md")
        write(tmp_path / "list.txt", b"\n")
        with pytest.raises(ItemsError, match=rf"no photo in .*{re.escape(empty)}"):
            find_items([str(tmp_path / "a.jpg"), str(tmp_path / empty)])
    with pytest.raises(ItemsError, match=r"no photo in .*; subfolders of .* contain photos; --recursive includes them"):
        find_items([str(write(tmp_path / "outer" / "inner" / "b.jpg").parents[1])])


def test_each_once_and_names_that_would_clash_keep_their_endings(tmp_path):
    for name in ("x.jpg", "x.png"):
        write(tmp_path / name)
    items = find_items([str(tmp_path), str(tmp_path / "x.jpg")])
    assert names(items) == ["x.jpg", "x.png"]


def test_a_file_may_be_named_like_a_pattern(tmp_path):
    for name in ("photo[1].jpg", "photo1.jpg"):
        write(tmp_path / name)
    assert names(find_items([str(tmp_path / "photo[1].jpg")])) == ["photo[1]"]
    assert names(find_items([str(tmp_path / "photo[1-3].jpg")])) == ["photo1"]


@pytest.mark.parametrize("line", ["/", "memory://b/."])
def test_a_line_without_a_name_is_one_clear_line(tmp_path, line):
    given = write(tmp_path / "list.txt", line.encode())
    with pytest.raises(ItemsError, match=rf"{re.escape(line)}: expected the path or address of a photo, got a folder"):
        find_items([str(given)])


@pytest.mark.parametrize("kind", ["list.txt", "table.csv", "table.parquet", "category.parquet"])
def test_lists_and_tables_of_paths(tmp_path, kind):
    """Relative to the list; addresses as they are."""
    write(tmp_path / "photos" / "a.jpg", b"content of a")
    lines = ["photos/a.jpg", str(tmp_path / "photos" / "a.jpg"), "memory://b/c.jpg"]
    given = tmp_path / kind
    if kind.endswith("txt"):
        given.write_text("\n".join([*lines, ""]))
    elif kind.endswith("csv"):
        given.write_text("id,path\n" + "".join(f"{i},{line}\n" for i, line in enumerate(lines)))
    else:
        column = pa.array(lines).dictionary_encode() if kind == "category.parquet" else lines
        pq.write_table(pa.table({"id": [0, 1, 2], "path": column}), given)
    items = find_items([str(given)])
    assert [item.uri for item in items] == [str(tmp_path / "photos" / "a.jpg"), "memory://b/c.jpg"]
    assert next(contents(items))[1] == b"content of a"


def test_tars_are_read_where_their_members_lie(tmp_path):
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for name, content in (("a.jpg", b"first"), ("a.json", b"{}"), ("../up/b.png", b"second")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    items = find_items([str(tmp_path / "shard.tar")])
    assert names(items) == ["shard/a", "shard/up/b"]
    assert [content for _, content in contents(items)] == [b"first", b"second"]
    assert [content for _, content in contents(items[1:])] == [b"second"]


def test_a_compressed_tar_is_refused(tmp_path):
    """Its photos cannot be read by their offsets."""
    with tarfile.open(tmp_path / "shard.tar", "w:gz") as tar:
        tar.add(write(tmp_path / "a.jpg"), "a.jpg")
    with pytest.raises(ItemsError, match=r"shard\.tar: cannot be listed: expected a tar without compression"):
        find_items([str(tmp_path / "shard.tar")])


def test_tables_of_photos_are_read_by_their_rows(tmp_path):
    """Bytes, or what the datasets library writes; over several row groups."""
    for name, column in (
        ("plain", [f"photo {row}".encode() for row in range(5)]),
        ("struct", [{"bytes": f"photo {row}".encode(), "path": None} for row in range(5)]),
    ):
        pq.write_table(pa.table({"image": column}), tmp_path / f"{name}.parquet", row_group_size=2)
        items = find_items([str(tmp_path / f"{name}.parquet")])
        assert names(items)[4] == f"{name}/00000004"
        assert [content for _, content in contents(items[1:4])] == [b"photo 1", b"photo 2", b"photo 3"]


def test_what_cannot_be_read_costs_itself_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("ssnan.cluster.items.MOST_BYTES", 10)
    write(tmp_path / "good.jpg", b"good")
    write(tmp_path / "long.jpg", b"longer than ten")
    pq.write_table(pa.table({"image": [b"row", None]}), tmp_path / "t.parquet")
    gone = Item("gone", str(tmp_path / "gone.jpg"))
    items = [gone, *find_items([str(tmp_path / name) for name in ("long.jpg", "good.jpg", "t.parquet")])]
    gone_, long, good, row, nothing = (content for _, content in contents(items))
    assert (good, row) == (b"good", b"row")
    assert "No such file" in str(gone_)
    assert "more than 10 bytes" in str(long)
    assert "row 1 of 'image' has no bytes" in str(nothing)


def test_a_camera_raw_file_is_refused_by_its_name(tmp_path):
    """Its bytes may be those of a TIFF with a thumbnail."""
    raw = Item("raw", str(write(tmp_path / "raw.NEF")))
    [(_, content)] = contents([raw])
    assert (type(content), "is a camera raw file" in str(content)) == (OSError, True)


@pytest.mark.parametrize("error", [RuntimeError("Unable to locate credentials"), PermissionError(13, "denied")])
def test_errors_of_a_store_are_told_apart_from_those_of_a_photo(tmp_path, monkeypatch, error):
    def fail(uri):
        raise error

    good = write(tmp_path / "good.jpg")
    items = [Item("a", "htp://shop/a.jpg"), Item("gone", str(tmp_path / "gone.jpg")), Item("folder", str(tmp_path))]
    unknown, gone, folder, read = (content for _, content in contents([*items, Item("good", str(good))]))
    assert isinstance(unknown, StoreError)
    assert "Protocol not known: htp" in str(unknown)
    assert (type(gone), type(folder), read) == (OSError, OSError, b"one")
    monkeypatch.setattr("ssnan.cluster.items._opened", fail)
    [(_, content)] = contents([Item("good", str(good))])
    assert isinstance(content, StoreError)
    assert str(content) in str(error)


def test_a_pipe_is_not_waited_for(tmp_path):
    write(tmp_path / "a.jpg")
    for name in ("pipe", "pipe.jpg", "pipe.png"):
        os.mkfifo(tmp_path / name)
    [(_, content)] = contents([Item("pipe", str(tmp_path / "pipe.jpg"))])
    assert "regular file" in str(content)
    assert names(find_items([str(tmp_path)])) == ["a"]
    assert names(find_items([str(tmp_path / "*")])) == ["a"]


@pytest.mark.parametrize(
    ("content", "column", "told"),
    [
        ("id,address\n1,a.jpg\n", None, "expected a column one of image, path"),
        ("id,address\n1,a.jpg\n", "adress", "expected a column 'adress'; did you mean 'address'?"),
    ],
)
def test_a_table_without_the_column_is_one_clear_line(tmp_path, content, column, told):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(ItemsError, match="it has id, address") as raised:
        find_items([str(tmp_path / "t.csv")], column=column)
    assert told in str(raised.value)


def test_a_table_with_two_columns_of_the_name_is_one_clear_line(tmp_path):
    pq.write_table(pa.table([pa.array(["a.jpg"])] * 2, names=["image", "image"]), tmp_path / "t.parquet")
    with pytest.raises(ItemsError, match="has several columns 'image'; rename all but one"):
        find_items([str(tmp_path / "t.parquet")])


@pytest.mark.parametrize("name", ["t.parquet", "t.tar"])
def test_a_damaged_file_is_one_clear_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ItemsError, match="cannot be listed"):
        find_items([str(tmp_path / name)])


@pytest.mark.parametrize("given", ["**.jpg", "list.txt"])
def test_an_impossible_pattern_or_path_is_one_clear_line(tmp_path, given):
    (tmp_path / "list.txt").write_bytes(b"nul\0/../a.jpg\n")
    with pytest.raises(ItemsError, match="cannot be listed"):
        find_items([str(tmp_path / given)])


def test_photos_called_alike_in_two_folders_have_two_names(tmp_path):
    given = write(
        tmp_path / "list.txt", b"photos/a.jpg\nphotos/sub/a.jpg\nphotos/b.jpg\nb/a.overlay.jpg\nc/a.overlay.jpg"
    )
    items = named_apart(find_items([str(given)]))
    assert len(set(names(items))) == 5
    assert names(items)[2] == "b"
    assert names(items) == names(named_apart(find_items([str(given)])))


def test_a_name_that_is_taken_stays_its_owner_s():
    mine = [Item("a", "/new/a.jpg"), Item("b.overlay", "/new/b.overlay.jpg"), Item("c", "/new/c.jpg")]
    first, second, third = names(named_apart(mine, done={"/a.jpg": "a", "/b.jpg": "b", "/c.json.jpg": "c.json"}))
    assert first.startswith("a-")
    assert second.startswith("b.overlay-")
    assert third.startswith("c-")
    assert names(named_apart(mine, done={"/new/a.jpg": "a", "/new/c.jpg": "c"})) == ["a", "b.overlay", "c"]


def test_names_in_a_webdataset_hold_no_dots_of_their_own():
    """What follows the first dot is a field there: a.b.png and a.c.png would be one sample."""
    found = names(named_apart([Item(name, name) for name in ("v1.2/a.b", "v1.2/a.c", "v1.2/a_b")], dots=False))
    assert found[1] == "v1.2/a_c"
    assert len(set(found)) == 3
    assert not any("." in name.rpartition("/")[2] for name in found)


def test_names_that_differ_in_case_or_accents_alone_are_kept_apart():
    """They are one file on the disks of some systems."""
    wanted = ["x/IMG", "x/img", "\u00e9t\u00e9", "e\u0301te\u0301", "other"]
    found = names(named_apart([Item(name, f"{place}/{name}") for place, name in enumerate(wanted)]))
    assert [len(name) - len(own) for name, own in zip(found, wanted, strict=True)] == [13, 13, 13, 13, 0]
    [second] = names(named_apart([Item("a", "/new/a.jpg")], done={"/A.jpg": "A"}))
    assert second.startswith("a-")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_of_excel_and_paths_of_windows(tmp_path, separator, encoding):
    rows = [["id", "File_Name "], ["1", "photos\\sub\\ä.jpg"], ["2", "photos/b.jpg"]]
    text = f"sep={separator}\r\n" + "".join(separator.join(row) + "\r\n" for row in rows)
    for content in (text, text.partition("\n")[2]):
        (tmp_path / "t.csv").write_bytes(content.encode(encoding))
        assert [item.uri for item in find_items([str(tmp_path / "t.csv")])] == [
            str(tmp_path / "photos/sub/ä.jpg"),
            str(tmp_path / "photos/b.jpg"),
        ]
    (tmp_path / "l.txt").write_bytes("photos\\b.jpg\r\n".encode(encoding))
    assert [item.uri for item in find_items([str(tmp_path / "l.txt")])] == [str(tmp_path / "photos/b.jpg")]


@pytest.mark.parametrize("name", ["t.csv", "t.txt"])
def test_a_list_in_another_encoding_is_one_clear_line(tmp_path, name):
    (tmp_path / name).write_bytes("path\nä.jpg\n".encode("cp1252"))
    with pytest.raises(ItemsError, match="expected text in UTF-8 or UTF-16; Excel saves it as 'CSV UTF-8'"):
        find_items([str(tmp_path / name)])


def test_names_that_are_not_unicode_are_escaped_and_read(tmp_path):
    for name in (b"bad\xff.jpg", b"bad\xff.png", "\u00e4.jpg".encode(), b"deep/bad\xff.jpg"):
        write(tmp_path / "in" / os.fsdecode(name), name)
    items = named_apart(find_items([str(tmp_path / "in")], recursive=True))
    assert names(items)[0] == "bad\\udcff.jpg"
    assert items[0].key == str(tmp_path / "in" / "bad\\udcff.jpg")
    assert len(set(names(items))) == len({item.key for item in items}) == 4
    for text in (text for item in items for text in (item.name, item.key)):
        text.encode()
    assert [content for _, content in contents(items)] == [b"bad\xff.jpg", b"bad\xff.png",
                                                           b"deep/bad\xff.jpg", "\u00e4.jpg".encode()]  # fmt: skip


def test_photos_in_a_tar_have_names_in_unicode(tmp_path):
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        member = tarfile.TarInfo(os.fsdecode(b"bad\xff.jpg"))
        member.size = 4
        tar.addfile(member, io.BytesIO(b"good"))
    [item] = find_items([str(tmp_path / "shard.tar")])
    assert item.name == "shard/bad\\udcff"


@pytest.mark.parametrize("given", [".", "*.jpg", "a::b.jpg", "simplecache::list.txt", "x::y.tar", "x::y.parquet"])
def test_two_colons_are_part_of_a_local_name(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a::b.jpg", b"good")
    write(tmp_path / "simplecache::list.txt", b"a::b.jpg")
    with tarfile.open(tmp_path / "x::y.tar", "w") as tar:
        tar.add("a::b.jpg")
    pq.write_table(pa.table({"image": [b"good"]}), tmp_path / "x::y.parquet")
    assert [content for _, content in contents(find_items([given]))] == [b"good"]


def test_a_photo_has_one_key_in_all_spellings_and_working_directories(tmp_path, monkeypatch):
    for place in ("d1", "d2", "d2/elsewhere/deep"):
        write(tmp_path / place / "a.jpg", place.encode())
    with tarfile.open(tmp_path / "d1" / "t.tar", "w") as tar:
        tar.add(tmp_path / "d1" / "a.jpg", "a.jpg")
    (tmp_path / "d1" / "list.txt").write_text("./a.jpg\n../d1/a.jpg\n")
    (tmp_path / "d1" / "linked").symlink_to(tmp_path / "d2" / "elsewhere" / "deep")
    monkeypatch.chdir(tmp_path / "d1")
    [item] = find_items(["a.jpg", "./a.jpg", str(tmp_path / "d1" / "a.jpg"), "../d1/a.jpg", "list.txt", ".", "*.jpg"])
    assert item.key == str(tmp_path / "d1" / "a.jpg")
    assert find_items(["t.tar"])[0].key.startswith(f"{tmp_path}/d1/t.tar#")
    write(tmp_path / "d2" / "elsewhere" / "a.jpg", b"above the linked folder")
    assert [content for _, content in contents(find_items(["linked/../a.jpg"]))] == [b"above the linked folder"]
    monkeypatch.chdir(tmp_path / "d2")
    assert find_items(["a.jpg"])[0].key == str(tmp_path / "d2" / "a.jpg")
