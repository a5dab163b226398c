"""Files ↔ streams: what each kind of file becomes, and what its form costs of a promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aetool.compressing.folders import folder_run
from aetool.compressing.form import Form, format_form, parse_form
from aetool.compressing.numbers import Wanted, back_to, narrowed
from aetool.compressing.placing import Placement, place
from aetool.compressing.tiles import Mosaic, cut
from aetool_runtime.compression.framing.header import Header, Picture
from aetool_runtime.errors import InputError, InterruptedRun, UsageError

PLACES = {
    "samples": ((8, 2), (8, 2), Placement(False, (8, 2))),
    "samples that lack the channel": ((8,), (8, 1), Placement(False, (8, 1))),
    "flat samples": ((16,), (8, 2), Placement(False, (8, 2))),
    "samples for a flat bundle": ((4, 4), (16,), Placement(False, (16,))),
    "a recording": ((2,), (8, 2), Placement(True, (2,))),
    "a recording of one channel": ((), (8, 1), Placement(True, (1,))),
    "a recording of bare values": ((), (8,), Placement(True, ())),
    "pictures of any size": ((5, 7, 3), (None, None, 3), Placement(False, (5, 7, 3))),
    "grey pictures of any size": ((5, 7), (None, None, 1), Placement(False, (5, 7, 1))),
    "a recording of any length of windows": ((2,), (None, 2), Placement(True, (2,))),
}


@pytest.mark.parametrize(("row", "sample", "wanted"), PLACES.values(), ids=PLACES)
def test_rows_find_their_place(row: tuple[int, ...], sample: tuple[int | None, ...], wanted: Placement) -> None:
    assert place(row, sample, "x") == wanted


@pytest.mark.parametrize(
    ("row", "sample"), [((3,), (8, 2)), ((4, 4), (8, 2)), ((5, 7, 4), (None, None, 3)), ((), (8, 2))]
)
def test_rows_without_a_place_are_refused_with_both_shapes(
    row: tuple[int, ...], sample: tuple[int | None, ...]
) -> None:
    with pytest.raises(InputError, match=r"x: rows of shape \[.*samples \["):
        place(row, sample, "x")


@pytest.mark.parametrize(
    "form", [Form("csv", {"names": ["größe", 'a"b'], "columns": 2}), Form("picture", {"mode": "P"}, b"\0\1{")]
)
def test_a_form_comes_back_from_its_attachment(form: Form) -> None:
    assert parse_form(format_form(form, "x")) == form


@pytest.mark.parametrize(
    "attachment", [b"", b"anything", b'{"form":', b'{"form":"unknown"}', b'{"form":[]}', b'{"other":1}', b"\xff"]
)
def test_what_others_attach_says_nothing(attachment: bytes) -> None:
    assert parse_form(attachment) == Form()


def test_an_attachment_that_is_too_large_is_refused() -> None:
    with pytest.raises(InputError, match="at most 1,048,576"):
        format_form(Form("picture", {}, bytes(1 << 20)), "x")


@pytest.mark.parametrize(
    "given", [{}, {"quality": 1, "lossless": True}, {"max_error": -1.0}, {"max_error": float("nan")}]
)
def test_what_to_keep_must_be_clear(given: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Wanted(**given)  # type: ignore[arg-type]


def test_a_promise_is_less_what_the_type_takes_or_refused() -> None:
    assert Wanted(max_error=1.0).less(0.25, "x") == Wanted(max_error=0.75)
    assert Wanted(quality=0).less(0.25, "x") == Wanted(quality=0)
    with pytest.raises(InputError, match="above 1"):
        Wanted(max_error=1.0).less(1.0, "x")


def test_doubles_change_only_where_loss_was_asked_for() -> None:
    odd = np.array([0.1])
    assert next(narrowed([odd], Wanted(max_error=1.0), "x")).dtype == np.float32
    with pytest.raises(InputError, match="--max-error"):
        next(narrowed([odd], Wanted(lossless=True), "x"))
    with pytest.raises(InputError, match="beyond"):
        next(narrowed([np.array([1e300])], Wanted(max_error=1.0), "x"))


def test_values_go_back_to_their_type_without_wrapping_around() -> None:
    assert back_to(np.array([-0.6, 1.5, 300], np.float32), np.dtype(np.uint8)).tolist() == [0, 2, 255]
    assert back_to(np.array([-3, 3], np.int32), np.dtype(np.uint64)).tolist() == [0, 3]


TILES = [((16, 16), 0), ((16, 16), 3), ((8, 24), 2), ((64, 64), 0), ((64, 64), 9)]


@pytest.mark.parametrize(("tile", "halo"), TILES)
@pytest.mark.parametrize("shape", [(37, 50, 3), (16, 16, 1), (1, 70, 1)])
def test_tiles_make_the_picture_again(shape: tuple[int, ...], tile: tuple[int, int], halo: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    header = Header(bytes(8), "uint8", (*tile, shape[2]), picture=Picture(shape[0], shape[1], halo))
    tiles = np.concatenate(list(cut(picture, tile, halo)))
    assert tiles.shape == (header.tiles, *tile, shape[2])
    mosaic = Mosaic(header)
    half = len(tiles) // 2
    mosaic.put(half, tiles[half:])
    mosaic.put(0, tiles[:half])
    assert mosaic.missing == 0
    np.testing.assert_array_equal(mosaic.picture(), picture)


def test_neighbouring_tiles_share_their_halo() -> None:
    picture = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32, 1)
    tiles = np.concatenate(list(cut(picture, (12, 12), 2)))
    np.testing.assert_array_equal(tiles[0][2:, -4:], tiles[1][2:, :4])


def test_a_folder_that_was_interrupted_goes_on_with_the_same_options_only(tmp_path: Path) -> None:
    def interrupted() -> None:
        with folder_run(tmp_path / "out", {"kept": 1}, resume=False, overwrite=False) as going_on:
            assert not going_on
            (tmp_path / "out" / "a.aes").touch()
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRun, match="--resume"):
        interrupted()
    for options in ({"resume": False}, {"resume": True}):
        with (
            pytest.raises(UsageError),
            folder_run(tmp_path / "out", {"kept": 2}, overwrite=False, **options),
        ):
            pass
    with folder_run(tmp_path / "out", {"kept": 1}, resume=True, overwrite=False) as going_on:
        assert going_on
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.aes"]
