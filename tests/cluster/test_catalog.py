import io
import itertools
import json
import tarfile

import pyarrow.parquet as pq
import pytest

from ssnan.cluster.catalog import Catalog, CatalogError, shards
from ssnan.cluster.isolation import Parsed, without_result
from ssnan.cluster.items import Item

SETTINGS = {"model": "small", "checksum": "abc", "labels": None}
places = itertools.count()


@pytest.fixture(params=["disk", "memory"])
def root(request, tmp_path):
    return str(tmp_path / "out") if request.param == "disk" else f"memory://catalog{next(places)}"


def items(count):
    return [Item(f"n{index}", f"/in/n{index}.jpg") for index in range(count)]


def parsed(item):
    row = without_result("parsed", "", item.uri.encode()).row | {
        "reason": None,
        "width": 3,
        "height": 2,
        "seconds": 0.5,
    }
    return Parsed(row | {"parts": [{"name": "hair", "area": 6, "confidence": 0.5, "box": [0, 0, 3, 2]}], "joints": []},
                  {".png": f"map of {item.name}".encode()})  # fmt: skip


def written(catalog, shard):
    return catalog.write(shard, ((item, parsed(item)) for item in shard.items))


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
    assert [row["map"] for row in rows(catalog)] == [b"map of n0", b"map of n1"]
    assert {(row["model"], row["checksum"]) for row in rows(catalog)} == {("small", "abc")}


def test_maps_in_tars(root):
    catalog = Catalog(root, "webdataset", SETTINGS)
    [shard] = shards(items(2), 2)
    with catalog.opened():
        catalog.take(written(catalog, shard))
    content = catalog._fs.cat_file(catalog._path(f"maps/{shard.id}.tar"))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert {name: tar.extractfile(name).read() for name in tar.getnames()} == {
            "n0.png": b"map of n0", "n1.png": b"map of n1",
        }  # fmt: skip
    [first, _] = rows(catalog)
    assert first["parts"] == [{"name": "hair", "area": 6, "confidence": 0.5, "box": [0, 0, 3, 2]}]


def test_maps_as_files(root):
    catalog = Catalog(root, "files", SETTINGS)
    [shard] = shards(items(1), 1)
    with catalog.opened():
        catalog.take(written(catalog, shard))
    assert catalog._fs.cat_file(catalog._path("maps/n0.png")) == b"map of n0"


def test_counts_and_problems(root):
    catalog = Catalog(root, "files", SETTINGS)
    [shard] = shards(items(3), 3)
    good, bad, worse = shard.items
    answers = [(good, parsed(good)), (bad, without_result("failed", "no photo")),
               (worse, without_result("quarantined", "died"))]  # fmt: skip
    with catalog.opened():
        result = catalog.write(shard, iter(answers))
        catalog.take(result)
    assert result.counts == {"parsed": 1, "failed": 1, "quarantined": 1}
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
