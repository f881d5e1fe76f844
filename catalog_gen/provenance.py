"""What a picture says about itself, to people and to machines: XMP by the IPTC Photo Metadata Standard 2025.1.

`Iptc4xmpExt:DigitalSourceType` marks it as made by a trained model, which shops' feeds and the EU AI Act (Art. 50(2))
ask for; the rest says which models drew it, from which words and which seed, so that it can be drawn again. All of it
follows from the picture's own row: no clock and no run, or drawing it again would not give the same bytes.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

from PIL import Image, UnidentifiedImageError

from catalog_gen import __version__
from catalog_gen.errors import PhotoError

SourceType = Literal["trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"]
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOFTWARE = f"catalog-gen {__version__}"
MAX_TEXT = 2_000  # characters of one value: a JPEG segment holds 65,502 bytes in all

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_XMP_MM = "http://ns.adobe.com/xap/1.0/mm/"
_ST_REF = "http://ns.adobe.com/xap/1.0/sType/ResourceRef#"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_OWN = "urn:catalog-gen:provenance:1#"
# XML 1.0 has no way to write these at all, escaped or not.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FIELDS = {
    f"{{{_DC}}}identifier": "sku",
    f"{{{_IPTC}}}AIPromptInformation": "prompt",
    f"{{{_IPTC}}}DigitalSourceType": "source_type",
    f"{{{_XMP}}}CreatorTool": "software",
    f"{{{_OWN}}}Generator": "gan",
    f"{{{_OWN}}}TextEncoder": "clip",
    f"{{{_OWN}}}Seed": "seed",
    f"{{{_OWN}}}Attempt": "attempt",
    f"{{{_OWN}}}Candidates": "candidates",
    f"{{{_OWN}}}Candidate": "candidate",
    f"{{{_OWN}}}Truncation": "truncation",
    f"{{{_OWN}}}Upscaler": "upscaler",
    f"{{{_OWN}}}Template": "template",
    f"{{{_OWN}}}StyleEngine": "engine",
    f"{{{_OWN}}}SourceSHA256": "source_sha256",
    f"{{{_OWN}}}SourceAsset": "source_asset",
    f"{{{_OWN}}}SourcePhoto": "source_photo",
}


@dataclass(frozen=True)
class Provenance:
    """Where a picture comes from. `gan` and `clip` name a bundle and its hash, for example `gan-64@1f0c...`.

    attempt: how many pictures of this product came before. candidate: which one of `candidates` was kept, from 0.
    truncation: how freely it was drawn, in [0, 1]; 1, which is left unsaid, is the generator as trained.
    upscaler: name and hash of what made it larger than it was drawn; empty: nothing did.
    template, engine: name and hash of the brand's template and of the style engine that a picture was restyled with.
    source_...: what it was restyled from: the file's SHA-256, and the asset's id or the photo's name. A picture made
    from a photo has no `gan`, and then says nothing of prompt, generator and seed.
    """

    sku: str
    prompt: str
    gan: str
    clip: str
    seed: int = 0
    attempt: int = 0
    candidates: int = 1
    candidate: int = 0
    truncation: float = 1.0
    software: str = SOFTWARE
    source_type: SourceType = "trainedAlgorithmicMedia"
    upscaler: str = ""
    template: str = ""
    engine: str = ""
    source_sha256: str = ""
    source_asset: str = ""
    source_photo: str = ""


def build_xmp(provenance: Provenance) -> bytes:
    """Return the XMP packet (UTF-8), the same for the same provenance.

    Characters that XML cannot hold (controls, lone surrogates) become U+FFFD; a value is cut at 2,000 characters.
    """
    p = provenance
    lines = [
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>',
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">',
        f'<rdf:Description rdf:about="" xmlns:dc="{_DC}" xmlns:xmp="{_XMP}" xmlns:Iptc4xmpExt="{_IPTC}"'
        f' xmlns:catalogGen="{_OWN}">',
        _element("Iptc4xmpExt:DigitalSourceType", SOURCE_TYPES + p.source_type),
        _element("Iptc4xmpExt:AISystemUsed", "catalog-gen"),
        _element("Iptc4xmpExt:AISystemVersionUsed", p.gan or p.engine),
        *_words(p),
        _element("dc:identifier", p.sku),
        _element("xmp:CreatorTool", p.software),
        *_drawing(p),
        *_restyling(p),
        "</rdf:Description></rdf:RDF></x:xmpmeta>",
        '<?xpacket end="r"?>',
    ]
    return "\n".join(lines).encode("utf-8")


def read_provenance(image: bytes) -> dict[str, str]:
    """Return what a picture says of itself: Provenance's field names to texts, `source_type` without its URL.

    Empty when it says nothing of this kind. Raises PhotoError when the bytes are no image or its XMP is damaged.
    """
    text = read_xmp(image)
    if not text:
        return {}
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:  # entities can grow without bound, and XMP needs none
        raise PhotoError("its XMP declares entities", where="picture")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise PhotoError(f"its XMP is damaged ({error})", where="picture") from error
    found: dict[str, str] = {}
    for element in root.iter():
        # Other programs write a simple property as an attribute, which XMP holds to be the same.
        found |= {_FIELDS[name]: value for name, value in element.attrib.items() if name in _FIELDS}
        if element.tag in _FIELDS:
            found[_FIELDS[element.tag]] = element.text or ""
    if "source_type" in found:
        found["source_type"] = found["source_type"].removeprefix(SOURCE_TYPES)
    return found


def read_xmp(image: bytes) -> bytes:
    """Return a picture's XMP packet as it is, to embed in a smaller or re-encoded copy; empty when it has none.

    Whatever scales or converts a picture must carry this on: the marking of generated media may not be stripped.
    Raises PhotoError when the bytes are no image.
    """
    try:
        with Image.open(io.BytesIO(image)) as opened:
            packet = opened.info.get("xmp") or opened.info.get("XML:com.adobe.xmp") or b""
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise PhotoError("not an image of a known format", where="picture") from error
    text = packet.encode("utf-8") if isinstance(packet, str) else bytes(packet)
    return text.strip(b"\x00 \r\n\t")


def _words(p: Provenance) -> list[str]:
    if not p.gan and not p.prompt:
        return []
    default = f'<rdf:li xml:lang="x-default">{_text(p.prompt)}</rdf:li>'
    return [
        _element("Iptc4xmpExt:AIPromptInformation", p.prompt),
        f"<dc:description><rdf:Alt>{default}</rdf:Alt></dc:description>",
    ]


def _drawing(p: Provenance) -> list[str]:
    if not p.gan:
        return []
    return [
        _element("catalogGen:Generator", p.gan),
        _element("catalogGen:TextEncoder", p.clip),
        _element("catalogGen:Seed", str(p.seed)),
        _element("catalogGen:Attempt", str(p.attempt)),
        _element("catalogGen:Candidates", str(p.candidates)),
        _element("catalogGen:Candidate", str(p.candidate)),
        *([] if p.truncation == 1 else [_element("catalogGen:Truncation", str(p.truncation))]),
        *([_element("catalogGen:Upscaler", p.upscaler)] if p.upscaler else []),
    ]


def _restyling(p: Provenance) -> list[str]:
    """The chain to the source: in words of our own, and as `xmpMM:DerivedFrom` (XMP specification, part 1, 8.6)."""
    own = {
        "Template": p.template,
        "StyleEngine": p.engine,
        "SourceSHA256": p.source_sha256,
        "SourceAsset": p.source_asset,
        "SourcePhoto": p.source_photo,
    }
    lines = [_element(f"catalogGen:{name}", value) for name, value in own.items() if value]
    if p.source_sha256:
        of = _element("stRef:documentID", f"urn:sha256:{p.source_sha256}")
        lines.append(
            f'<xmpMM:DerivedFrom xmlns:xmpMM="{_XMP_MM}" xmlns:stRef="{_ST_REF}" rdf:parseType="Resource">{of}'
            "</xmpMM:DerivedFrom>"
        )
    return lines


def _element(name: str, value: str) -> str:
    return f"<{name}>{_text(value)}</{name}>"


def _text(value: str) -> str:
    cut = value if len(value) <= MAX_TEXT else value[: MAX_TEXT - 1] + "…"
    # A bare carriage return would be read back as a line feed.
    return escape(_NOT_XML.sub("\ufffd", cut), {"\r": "&#13;"})
