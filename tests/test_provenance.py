from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from catalog_gen.encode import MAX_XMP, SUFFIX, ImageFormat, encode_image
from catalog_gen.errors import PhotoError
from catalog_gen.provenance import (
    MAX_TEXT,
    SOFTWARE,
    SOURCE_TYPES,
    Provenance,
    build_xmp,
    read_provenance,
    read_xmp,
)

FORMATS: list[ImageFormat] = ["webp", "jpeg", "png"]
PICTURE = np.full((16, 16, 3), 200, np.uint8)
PLAIN = Provenance(
    sku="SHOE-1/ü",
    prompt='Red <b>shoe</b> & "laces" ]]> 👗 שמלה',
    gan="gan-64@1f0c",
    clip="product-clip@77aa",
    seed=2**63 - 1,
    attempt=2,
    candidates=4,
    candidate=3,
    truncation=0.49,
)
TEXTS = {field: str(value) for field, value in dataclasses.asdict(PLAIN).items() if value != ""}
CHAIN = {
    "template": "winter@aa11",
    "engine": "fast@bb22",
    "source_sha256": "c0ffee" + "0" * 58,
    "source_asset": "",
    "source_photo": "",
}
RESTYLED = dataclasses.replace(PLAIN, **CHAIN | {"source_asset": "0af3"})
PHOTOGRAPHED = dataclasses.replace(
    Provenance("SHOE-1", prompt="", gan="", clip=""),
    source_type="compositeWithTrainedAlgorithmicMedia",
    **CHAIN | {"source_photo": "ü & 1.jpg"},
)
HOSTILE = st.text(
    st.one_of(st.characters(), st.sampled_from("\x00\x0b\x7f\ud800\udfff\ufffe\uffff\r\n\t<>&'\"]\u202e\u200d👗")),
    max_size=60,
) | st.sampled_from(["]]>", "<?xpacket end='w'?>", "<!--", "--><x>", "&lt;", "&#0;", "<!DOCTYPE x>", "e\u0301" * 9])


@pytest.mark.parametrize("image_format", FORMATS)
class TestInAPicture:
    def test_it_reads_back(self, image_format: ImageFormat) -> None:
        assert read_provenance(encode_image(PICTURE, image_format, 90, build_xmp(PLAIN))) == TEXTS

    def test_exiftool_reads_it_back(self, image_format: ImageFormat, tmp_path: Path) -> None:
        exiftool = shutil.which("exiftool")
        if exiftool is None:
            pytest.skip("exiftool is not installed (Debian: libimage-exiftool-perl)")
        path = tmp_path / f"picture.{SUFFIX[image_format]}"
        path.write_bytes(encode_image(PICTURE, image_format, 90, build_xmp(PLAIN)))
        command = [exiftool, "-j", "-G1", "-XMP:all", str(path)]
        tags = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]
        assert tags["XMP-iptcExt:DigitalSourceType"] == SOURCE_TYPES + "trainedAlgorithmicMedia"
        assert tags["XMP-iptcExt:AIPromptInformation"] == PLAIN.prompt
        assert tags["XMP-iptcExt:AISystemUsed"] == "catalog-gen"
        assert tags["XMP-dc:Description"] == PLAIN.prompt
        assert tags["XMP-dc:Identifier"] == PLAIN.sku
        assert tags["XMP-xmp:CreatorTool"] == SOFTWARE
        assert tags["XMP-catalogGen:Generator"] == PLAIN.gan
        assert int(tags["XMP-catalogGen:Seed"]) == PLAIN.seed
        assert int(tags["XMP-catalogGen:Attempt"]) == PLAIN.attempt
        verdict = subprocess.run([exiftool, "-validate", "-warning", "-a", str(path)], capture_output=True, text=True)
        assert ": OK" in verdict.stdout

    def test_a_picture_without_says_nothing(self, image_format: ImageFormat) -> None:
        assert read_provenance(encode_image(PICTURE, image_format, 90)) == {}

    @pytest.mark.parametrize(
        ("packet", "reason"),
        [
            (b"<x", "damaged"),
            (b"<!DOCTYPE x [<!ENTITY a 'aa'><!ENTITY b '&a;&a;'>]><x>&b;</x>", "declares entities"),
        ],
    )
    def test_hostile_packets(self, image_format: ImageFormat, packet: bytes, reason: str) -> None:
        with pytest.raises(PhotoError, match=reason):
            read_provenance(encode_image(PICTURE, image_format, 90, packet))


@given(sku=HOSTILE, prompt=HOSTILE, seed=st.integers(0, 2**63 - 1))
def test_any_text_makes_a_packet_that_parses_and_says_it(sku: str, prompt: str, seed: int) -> None:
    packet = build_xmp(dataclasses.replace(PLAIN, sku=sku, prompt=prompt, seed=seed))
    ElementTree.fromstring(packet)
    found = read_provenance(encode_image(PICTURE, "webp", 50, packet))
    assert found["prompt"] == _as_xml_holds(prompt)
    assert found["sku"] == _as_xml_holds(sku)
    assert found["seed"] == str(seed)


def _as_xml_holds(text: str) -> str:
    def allowed(character: str) -> bool:
        code = ord(character)
        return character in "\t\n\r" or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000

    return "".join(character if allowed(character) else "\ufffd" for character in text)


def test_nothing_but_the_row_is_in_it() -> None:
    assert build_xmp(PLAIN) == build_xmp(dataclasses.replace(PLAIN))
    for field in dataclasses.fields(PLAIN):
        value = getattr(PLAIN, field.name)
        other = value + 1 if isinstance(value, int) else "compositeWithTrainedAlgorithmicMedia"
        changed = dataclasses.replace(PLAIN, **{field.name: other - 2 if field.name == "seed" else other})
        assert build_xmp(changed) != build_xmp(PLAIN), field.name


def test_the_longest_texts_fit_every_format() -> None:
    long = "&" * 1_000_000
    packet = build_xmp(Provenance(sku=long, prompt=long, gan=long[:90], clip=long[:90], seed=1))
    assert len(packet) < MAX_XMP
    for image_format in FORMATS:
        found = read_provenance(encode_image(PICTURE, image_format, 90, packet))
        assert found["prompt"] == "&" * (MAX_TEXT - 1) + "…"


def test_a_picture_drawn_as_freely_as_it_gets_says_nothing_of_truncation() -> None:
    """And so has the bytes of one from before there was truncation."""
    whole = build_xmp(dataclasses.replace(PLAIN, truncation=1.0))
    assert b"Truncation" not in whole and b"<catalogGen:Truncation>0.49<" in build_xmp(PLAIN)


def test_a_composite_says_so() -> None:
    composite = dataclasses.replace(PLAIN, source_type="compositeWithTrainedAlgorithmicMedia")
    assert (SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia").encode() in build_xmp(composite)


def test_no_image_is_a_photo_error() -> None:
    with pytest.raises(PhotoError, match="not an image"):
        read_provenance(b"not an image")


def test_another_programs_xmp_says_nothing_of_ours() -> None:
    buffer = io.BytesIO()
    foreign = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><other xmlns='urn:else'>1</other></x:xmpmeta>"
    Image.fromarray(PICTURE).save(buffer, "WEBP", xmp=foreign)
    assert read_provenance(buffer.getvalue()) == {}


def test_a_picture_restyled_from_a_generated_one_carries_its_drawing_on() -> None:
    found = read_provenance(encode_image(PICTURE, "webp", 90, build_xmp(RESTYLED)))
    chain = {name: value for name, value in dataclasses.asdict(RESTYLED).items() if name in CHAIN and value}
    assert found == TEXTS | chain and set(chain) == {"template", "engine", "source_sha256", "source_asset"}


def test_a_picture_restyled_from_a_photo_says_nothing_of_a_generator() -> None:
    found = read_provenance(encode_image(PICTURE, "png", 90, build_xmp(PHOTOGRAPHED)))
    assert found == {
        "sku": "SHOE-1",
        "software": SOFTWARE,
        "source_type": "compositeWithTrainedAlgorithmicMedia",
        **{name: value for name, value in CHAIN.items() if value},
        "source_photo": "ü & 1.jpg",
    }


@pytest.mark.parametrize("given", [RESTYLED, PHOTOGRAPHED], ids=["generated", "photo"])
@pytest.mark.parametrize("before", FORMATS)
@pytest.mark.parametrize("after", FORMATS)
def test_the_chain_survives_resizing_and_re_encoding(
    before: ImageFormat, after: ImageFormat, given: Provenance, tmp_path: Path
) -> None:
    large = encode_image(PICTURE, before, 90, build_xmp(given))
    with Image.open(io.BytesIO(large)) as opened:
        small = np.asarray(opened.convert("RGB").resize((9, 7)))
    copy = encode_image(small, after, 70, read_xmp(large))
    assert read_provenance(copy) == read_provenance(large)
    exiftool = shutil.which("exiftool")
    if exiftool is None:
        pytest.skip("exiftool is not installed (Debian: libimage-exiftool-perl)")
    path = tmp_path / f"small.{SUFFIX[after]}"
    path.write_bytes(copy)
    tags = json.loads(subprocess.run([exiftool, "-j", "-G1", "-XMP:all", str(path)], capture_output=True).stdout)[0]
    assert tags["XMP-iptcExt:DigitalSourceType"] == SOURCE_TYPES + given.source_type
    assert tags["XMP-xmpMM:DerivedFromDocumentID"] == f"urn:sha256:{given.source_sha256}"
    assert tags["XMP-catalogGen:Template"] == "winter@aa11" and tags["XMP-catalogGen:StyleEngine"] == "fast@bb22"
    assert ("XMP-catalogGen:Seed" in tags) == (given is RESTYLED)
    verdict = subprocess.run([exiftool, "-validate", "-warning", "-a", str(path)], capture_output=True, text=True)
    assert ": OK" in verdict.stdout


def test_a_property_that_another_program_wrote_as_an_attribute() -> None:
    packet = (
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        "<rdf:Description rdf:about='' xmlns:e='http://iptc.org/std/Iptc4xmpExt/2008-02-29/' "
        f"e:DigitalSourceType='{SOURCE_TYPES}trainedAlgorithmicMedia'/></rdf:RDF></x:xmpmeta>"
    ).encode()
    assert read_provenance(encode_image(PICTURE, "webp", 90, packet)) == {"source_type": "trainedAlgorithmicMedia"}
