"""XML from strangers, element by element: no entities, no DTD, no network, no tree too large or too deep."""

import codecs
import re
from collections.abc import Iterator
from io import BytesIO

from lxml import etree

from gloinone.errors import AnnotationError

MAX_ELEMENTS = 3_000_000
"""Tags, opening and closing: more than MAX_BYTES of vertices hold, far less than a memory full of <a/>."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ENCODINGS = {"utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252", "cp1250", "cp932", "gb18030", "gbk"}
_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*\?>")
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?\bencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_FORBIDDEN = re.compile(r"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


def decode_xml(data: bytes, where: str) -> str:
    """Text of an XML file by its byte order mark, its null bytes or its declaration, in this order.

    A file that declares UTF-16 and is none, as some Windows programs write, is read as UTF-8.
    """
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "")
    if not encoding and b"\0" in data[:4]:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    if not encoding:
        encoding = _declared_encoding(data, where)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{where}: the text is not {encoding}; save it again as UTF-8") from error


def _declared_encoding(data: bytes, where: str) -> str:
    match = _DECLARED.match(data[:300])
    declared = match.group(1).decode("ascii") if match else "utf-8"
    try:
        name = codecs.lookup(declared).name
    except LookupError:
        name = ""
    if name.startswith("utf-16"):
        return "utf-8"
    if name not in _ENCODINGS:
        raise AnnotationError(f"{where}: unknown encoding {declared!r}; save it again as UTF-8")
    return name


def iterate_xml(data: bytes, where: str) -> Iterator[tuple[str, etree._Element]]:
    """("start" | "end", element) in document order; the caller clears what it has read.

    Raises AnnotationError for broken XML, a document type or entity, and for more elements or a deeper
    tree than any annotation file has.
    """
    text = decode_xml(data, where)
    if _FORBIDDEN.search(text):
        raise AnnotationError(f"{where}: holds a document type or entities; save it again from ImageScope")
    if text.count("<") > MAX_ELEMENTS:
        raise AnnotationError(f"{where}: over {MAX_ELEMENTS} elements; export the glomeruli only")
    stream = BytesIO(_DECLARATION.sub("", text, count=1).encode("utf-8", "replace"))
    try:
        for event, element in etree.iterparse(
            stream,
            events=("start", "end"),
            encoding="utf-8",
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        ):
            yield str(event), element
    except etree.XMLSyntaxError as error:
        raise AnnotationError(f"{where}: not XML ({error.msg}); save it again from ImageScope") from error


def local_name(element: etree._Element) -> str:
    """Tag without its namespace."""
    return str(element.tag).rpartition("}")[2]
