import io
import itertools
import json
import subprocess
import sys
import tarfile

import pyarrow.parquet as pq
import pytest
from PIL import Image

from ssnan.cluster.catalog import Catalog, CatalogError, shards
from ssnan.cluster.isolation import Parsed, without_result
from ssnan.cluster.items import Item
from ssnan.io.storing import png_info
from ssnan.io.writing import unfinished_prefix

SETTINGS = {"model": "small", "checksum": "abc", "labels": None}
places = itertools.count()


@pytest.fixture(params=["disk", "memory"])
def root(request, tmp_path):
    return str(tmp_path / "out") if request.param == "disk" else f"memory://catalog{next(places)}"


def items(count):
    return [Item(f"n{index}", f"/in/n{index}.jpg") for index in range(count)]


def map_of(name):
    content = io.BytesIO()
    Image.new("L", (3, 2)).save(content, format="PNG", pnginfo=png_info(photo=f"{name}.jpg"))
    return content.getvalue()


def parsed(item):
    row = without_result("parsed", "", item.uri.encode()).row | {
        "reason": None,
        "width": 3,
        "height": 2,
        "seconds": 0.5,
    }
    return Parsed(row | {"parts": [{"name": "hair", "area": 6, "confidence": 0.5, "box": [0, 0, 3, 2]}], "joints": []},
                  {".png": map_of(item.name)})  # fmt: skip


def written(catalog, shard):
    return catalog.write(shard, ((item, parsed(item)) for item in shard.items))


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def rows(catalog):
    return [row for path in catalog._tables() for row in pq.read_table(catalog._fs.open(path)).to_pylist()]


def test_shards_are_named_by_their_photos():
    first, second = shards(items(5), 3)
    assert [len(shard.items) for shard in (first, second)] == [3, 2]
    assert shards(items(5)[:3], 3)[0].id == first.id != second.id


def test_what_is_taken_is_done_and_what_is_not_is_thrown_away(root):
    catalog = Catalog(root, "files", SETTINGS)
    first, second = shards(items(4), 2)
    with catalog.opened():
        taken, left = written(catalog, first), written(catalog, second)
        assert set(catalog.done()) == set()
        catalog.take(taken)
        assert set(catalog.done()) == {"/in/n0.jpg", "/in/n1.jpg"}
        assert catalog._fs.exists(catalog._path(left.moves[0][0]))
    assert not catalog._fs.exists(catalog._path("pending"))
    with catalog.opened():
        assert set(catalog.done()) == {"/in/n0.jpg", "/in/n1.jpg"}
        catalog.take(written(catalog, second))
    assert sorted(row["key"] for row in rows(catalog)) == [item.key for item in items(4)]


def test_a_shard_that_two_workers_wrote_is_there_once(root):
    catalog = Catalog(root, "parquet", SETTINGS)
    [shard] = shards(items(2), 2)
    with catalog.opened():
        for part in (written(catalog, shard), written(catalog, shard)):
            catalog.take(part)
    assert [row["map"] for row in rows(catalog)] == [map_of("n0"), map_of("n1")]
    assert {(row["model"], row["checksum"]) for row in rows(catalog)} == {("small", "abc")}


def test_maps_in_tars(root):
    catalog = Catalog(root, "webdataset", SETTINGS)
    [shard] = shards(items(2), 2)
    with catalog.opened():
        catalog.take(written(catalog, shard))
    content = catalog._fs.cat_file(catalog._path(f"maps/{shard.id}.tar"))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert {name: tar.extractfile(name).read() for name in tar.getnames()} == {
            "n0.png": map_of("n0"), "n1.png": map_of("n1"),
        }  # fmt: skip
    [first, _] = rows(catalog)
    assert first["parts"] == [{"name": "hair", "area": 6, "confidence": 0.5, "box": [0, 0, 3, 2]}]


def test_maps_as_files(root):
    catalog = Catalog(root, "files", SETTINGS)
    [shard] = shards(items(1), 1)
    with catalog.opened():
        catalog.take(written(catalog, shard))
    assert catalog._fs.cat_file(catalog._path("maps/n0.png")) == map_of("n0")


def test_counts_and_problems(root):
    catalog = Catalog(root, "files", SETTINGS)
    [shard] = shards(items(3), 3)
    good, bad, worse = shard.items
    answers = [(good, parsed(good)), (bad, without_result("failed", "no photo")),
               (worse, without_result("quarantined", "died"))]  # fmt: skip
    with catalog.opened():
        result = catalog.write(shard, iter(answers))
        catalog.take(result)
    assert result.counts == {"parsed": 1, "failed": 1, "quarantined": 1, "unfinished": 0}
    assert result.problems == (("/in/n1.jpg", "no photo"), ("/in/n2.jpg", "died"))
    assert [row["status"] for row in rows(catalog)] == ["parsed", "failed", "quarantined"]


def test_other_settings_are_refused(root):
    with Catalog(root, "files", SETTINGS).opened():
        pass
    with (
        pytest.raises(CatalogError, match="has results with checksum 'abc', this run has 'def'"),
        Catalog(root, "files", SETTINGS | {"checksum": "def"}).opened(),
    ):
        pass
    with pytest.raises(CatalogError, match="into"), Catalog(root, "parquet", SETTINGS).opened():
        pass


def test_a_setting_that_older_versions_did_not_store_can_be_added(root):
    with Catalog(root, "files", SETTINGS).opened():
        pass
    later = Catalog(root, "files", SETTINGS | {"labels_checksum": "def"})
    told = r'settings\.json has no labels_checksum; .* add "labels_checksum": "def" there'
    with pytest.raises(CatalogError, match=told), later.opened():
        pass
    path = later._path("settings.json")
    later._fs.pipe_file(path, later._fs.cat_file(path).replace(b"{", b'{"labels_checksum": "def",', 1))
    with later.opened():
        pass


def test_a_second_driver_is_refused(tmp_path):
    catalog = Catalog(str(tmp_path / "out"), "files", SETTINGS)
    with catalog.opened(), pytest.raises(CatalogError, match="another run is writing to it"), catalog.opened():
        pass
    with catalog.opened():
        assert json.loads((tmp_path / "out" / "settings.json").read_text()) == SETTINGS | {"into": "files"}


@pytest.mark.parametrize("content", [b"{", b"[1]", b""])
def test_damaged_settings_are_one_clear_line(root, content):
    catalog = Catalog(root, "files", SETTINGS)
    with catalog.opened():
        pass
    catalog._fs.pipe_file(catalog._path("settings.json"), content)
    with pytest.raises(CatalogError, match=r"settings\.json: damaged; expected settings in JSON"), catalog.opened():
        pass


def test_a_damaged_table_is_named(root):
    catalog = Catalog(root, "files", SETTINGS)
    (shard,) = shards(items(2), 2)
    with catalog.opened():
        catalog.take(written(catalog, shard))
    (table,) = catalog._tables()
    catalog._fs.pipe_file(table, b"PAR1 and no more")
    with pytest.raises(CatalogError, match=r"not a table of results .* remove it to parse its photos again"):
        catalog.done()


@pytest.mark.parametrize("name", ["pending", "maps", "results"])
def test_a_folder_that_is_no_catalog_is_refused_and_stays_as_it_is(tmp_path, name):
    photo = tmp_path / "shop" / name / "a.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b"photo")
    told = rf"shop: has {name} but no settings\.json, so it is not a catalog; choose another folder"
    with pytest.raises(CatalogError, match=told), Catalog(str(tmp_path / "shop"), "files", SETTINGS).opened():
        pass
    assert [path for path in (tmp_path / "shop").rglob("*") if path.is_file()] == [photo]


def test_only_files_of_workers_are_discarded(root):
    catalog = Catalog(root, "webdataset", SETTINGS)
    [shard] = shards(items(1), 1)
    with catalog.opened():
        catalog._put(catalog._path("pending/a.jpg"), b"photo")
        written(catalog, shard)
        assert len(catalog._listed("pending")) == 3
    with catalog.opened():
        assert [path.rpartition("/")[2] for path in catalog._listed("pending")] == ["a.jpg"]


def test_a_folder_named_like_a_pattern(tmp_path):
    catalog = Catalog(str(tmp_path / "out[1]"), "files", SETTINGS)
    [shard] = shards(items(1), 1)
    with catalog.opened():
        catalog.take(written(catalog, shard))
        assert set(catalog.done()) == {"/in/n0.jpg"}


def test_a_map_replaces_no_file_but_a_result_of_its_photo(tmp_path):
    """Not even one that came after the settings; the photo has no row, and the next run tries it again."""
    catalog = Catalog(str(tmp_path), "files", SETTINGS)
    [shard] = shards(items(4), 4)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "n0.png").write_bytes(b"a photo")
    for name, photo in (("n1", "other"), ("n2", "n2")):
        (tmp_path / "maps" / f"{name}.png").write_bytes(map_of(photo))
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS | {"into": "files"}))
    with catalog.opened():
        result = written(catalog, shard)
        catalog.take(result)
    assert result.counts == {"parsed": 2, "failed": 0, "quarantined": 0, "unfinished": 2}
    told = f"its result would overwrite {tmp_path}/maps/n0.png, which is not a result of n0.jpg; move that file away"
    assert result.problems[0][1].startswith(told)
    assert set(catalog.done()) == {"/in/n2.jpg", "/in/n3.jpg"}
    assert (tmp_path / "maps" / "n0.png").read_bytes() == b"a photo"
    assert (tmp_path / "maps" / "n2.png").read_bytes() == map_of("n2")
    (tmp_path / "maps" / "n0.png").unlink()
    [again] = shards(items(1), 1)
    with catalog.opened():
        catalog.take(written(catalog, again))
    assert "/in/n0.jpg" in catalog.done()


@pytest.mark.parametrize("content", [b'{"image": "n0.jpg"}', b"notes", b"[]"])
def test_a_json_replaces_no_file_of_others(tmp_path, content):
    catalog = Catalog(str(tmp_path), "files", SETTINGS)
    [shard] = shards(items(1), 1)
    [item] = shard.items
    with catalog.opened():
        (tmp_path / "maps").mkdir()
        (tmp_path / "maps" / "n0.json").write_bytes(content)
        one = parsed(item)
        result = catalog.write(shard, iter([(item, Parsed(one.row, {".json": b"{}", **one.files}))]))
    assert result.counts["unfinished"] == 1
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["n0.json"]


def test_two_colons_are_part_of_a_local_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Catalog("out::1", "files", SETTINGS).opened():
        assert (tmp_path / "out::1" / "settings.json").is_file()


def test_an_error_of_the_store_is_one_clear_line(root, monkeypatch):
    catalog = Catalog(root, "files", SETTINGS)
    error = RuntimeError("Unable to locate credentials\nand more")
    monkeypatch.setattr(type(catalog._fs), "exists", raising(error))
    with pytest.raises(CatalogError, match=r"cannot be opened: Unable to locate credentials$"), catalog.opened():
        pass


@pytest.mark.parametrize("broken", ["pipe_file", "copy", "open", "rm"])
def test_a_store_that_fails_in_the_middle_is_one_clear_line_and_the_catalog_goes_on(monkeypatch, broken):
    catalog = Catalog(f"memory://catalog{next(places)}", "webdataset", SETTINGS)
    first, second = shards(items(2), 1)

    def run(shard):
        catalog.take(written(catalog, shard))
        return set(catalog.done())

    with catalog.opened():
        run(first)
    with catalog.opened(), monkeypatch.context() as patch:
        patch.setattr(type(catalog._fs), broken, raising(RuntimeError("Could not connect")))
        with pytest.raises(OSError, match=r"^Could not connect$"):
            run(second)
    with catalog.opened():
        assert run(second) == {"/in/n0.jpg", "/in/n1.jpg"}
    assert len(rows(catalog)) == 2


@pytest.mark.parametrize("error", [PermissionError(13, "Forbidden"), TimeoutError("too slow")])
def test_a_table_that_cannot_be_reached_is_not_called_damaged(root, monkeypatch, error):
    catalog = Catalog(root, "files", SETTINGS)
    with catalog.opened():
        catalog.take(written(catalog, shards(items(1), 1)[0]))
    monkeypatch.setattr(type(catalog._fs), "open", raising(error))
    with pytest.raises(type(error)):
        catalog.done()


def test_a_name_that_is_too_long_costs_its_photo_alone(tmp_path):
    catalog = Catalog(str(tmp_path), "files", SETTINGS)
    [shard] = shards([Item("n" * 252, "/in/long.jpg"), *items(1)], 2)
    with catalog.opened():
        catalog.take(written(catalog, shard))
    long, good = rows(catalog)
    assert (long["status"], good["status"]) == ("failed", "parsed")
    assert long["reason"] == "the name of its result is too long for the disk; rename the photo"
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["n0.png"]


def test_unfinished_files_of_a_killed_run_are_removed(root, tmp_path):
    program = "from ssnan.io.writing import unfinished_prefix; print(unfinished_prefix())"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    catalog = Catalog(root, "files", SETTINGS)
    kept = f"maps/{unfinished_prefix()}b.part"
    for name in (f"maps/{ended}a.part", f"maps/deep/{ended}a.part", kept):
        catalog._put(catalog._path(name), b"")
    catalog.sweep([Item("a", "/in/a.jpg"), Item("deep/b", "/in/deep/b.jpg")])
    if root.startswith(str(tmp_path)):
        assert list((tmp_path / "out").rglob("*.part")) == [tmp_path / "out" / kept]


def test_opening_a_catalog_empties_no_file(tmp_path):
    (tmp_path / ".lock").write_text("of another program")
    with Catalog(str(tmp_path), "files", SETTINGS).opened():
        pass
    assert (tmp_path / ".lock").read_text() == "of another program"
