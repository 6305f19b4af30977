"""The MIME type of a file by its extension: one table, the same for every Python and every machine. Pure.

The table of the standard library changes with its version, and reads ``/etc/mime.types`` where there is one;
equal files would be stored as different objects. Names are those that IANA registered
(https://www.iana.org/assignments/media-types/media-types.xhtml), else the usual ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from aios3sync._typing import Final

__all__ = ("DEFAULT_TYPE", "content_type_of", "is_text", "is_utf8")

DEFAULT_TYPE: Final = "application/octet-stream"

_OFFICE: Final = "application/vnd.openxmlformats-officedocument"
_OPEN: Final = "application/vnd.oasis.opendocument"

# Type -> its extensions.
_TABLE: Final = {
    # Text
    "text/calendar": "ics ifb",
    "text/css": "css",
    "text/csv": "csv",
    "text/html": "htm html shtml",
    "text/javascript": "cjs es js jsx mjs",
    "text/markdown": "markdown md mdown mkd",
    "text/n3": "n3",
    "text/plain": (
        "asc bat c cc cfg cmd conf cpp cs cxx def diff env go h hh hpp hxx in ini ksh list log lua nfo patch "
        "php pl pm properties ps1 rb rs sbv scala srt sub swift text txt"
    ),
    "text/richtext": "rtx",
    "text/tab-separated-values": "tab tsv",
    "text/troff": "man me ms roff t tr",
    "text/turtle": "ttl",
    "text/vcard": "vcard vcf",
    "text/vnd.graphviz": "gv",
    "text/vtt": "vtt",
    "text/x-bibtex": "bib",
    "text/x-java-source": "java",
    "text/x-kotlin": "kt kts",
    "text/x-python": "py pyi pyw",
    "text/x-r": "r",
    "text/x-rst": "rst",
    "text/x-scss": "sass scss",
    "text/x-setext": "etx",
    "text/x-sgml": "sgm sgml",
    "text/x-tex": "bst cls latex ltx sty tex",
    "text/x-typescript": "cts tsx",
    "text/xml": "xml",
    # Images
    "image/avif": "avif avifs",
    "image/bmp": "bmp dib",
    "image/emf": "emf",
    "image/fits": "fit fits fts",
    "image/gif": "gif",
    "image/heic": "heic heics hif",
    "image/heif": "heif heifs",
    "image/ief": "ief",
    "image/jp2": "jp2 jpg2",
    "image/jpeg": "jfif jpe jpeg jpg pjpeg pjp",
    "image/jpx": "jpf jpx",
    "image/jxl": "jxl",
    "image/ktx": "ktx",
    "image/ktx2": "ktx2",
    "image/png": "png",
    "image/apng": "apng",
    "image/svg+xml": "svg",
    "image/tiff": "tif tiff",
    "image/vnd.adobe.photoshop": "psd",
    "image/vnd.djvu": "djv djvu",
    "image/vnd.dxf": "dxf",
    "image/vnd.dwg": "dwg",
    "image/vnd.microsoft.icon": "cur ico",
    "image/vnd.radiance": "hdr",
    "image/webp": "webp",
    "image/wmf": "wmf",
    "image/x-adobe-dng": "dng",
    "image/x-canon-cr2": "cr2",
    "image/x-canon-cr3": "cr3",
    "image/x-cmu-raster": "ras",
    "image/x-exr": "exr",
    "image/x-fuji-raf": "raf",
    "image/x-nikon-nef": "nef",
    "image/x-olympus-orf": "orf",
    "image/x-panasonic-rw2": "rw2",
    "image/x-portable-anymap": "pnm",
    "image/x-portable-bitmap": "pbm",
    "image/x-portable-graymap": "pgm",
    "image/x-portable-pixmap": "ppm",
    "image/x-rgb": "rgb",
    "image/x-sony-arw": "arw",
    "image/x-tga": "tga",
    "image/x-xbitmap": "xbm",
    "image/x-xcf": "xcf",
    "image/x-xpixmap": "xpm",
    "image/x-xwindowdump": "xwd",
    # Audio
    "audio/3gpp": "3ga",
    "audio/aac": "aac adts",
    "audio/ac3": "ac3",
    "audio/aiff": "aif aifc aiff",
    "audio/amr": "amr",
    "audio/basic": "au snd",
    "audio/flac": "flac",
    "audio/matroska": "mka",
    "audio/midi": "kar mid midi",
    "audio/mp4": "m4a m4b",
    "audio/mpeg": "mp2 mp3 mpga",
    "audio/ogg": "oga ogg spx",
    "audio/opus": "opus",
    "audio/wav": "wav",
    "audio/webm": "weba",
    "audio/x-ape": "ape",
    "audio/x-caf": "caf",
    "audio/x-ms-wma": "wma",
    "audio/x-pn-realaudio": "ra ram",
    # Video
    "video/3gpp": "3gp 3gpp",
    "video/3gpp2": "3g2 3gpp2",
    "video/matroska": "mkv",
    "video/mp2t": "m2t m2ts mts ts",
    "video/mp4": "m4v mp4 mpg4",
    "video/mpeg": "m1v m2v mpa mpe mpeg mpg vob",
    "video/ogg": "ogv",
    "video/quicktime": "mov qt",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/x-ms-asf": "asf",
    "video/x-ms-wmv": "wmv",
    "video/x-msvideo": "avi",
    "video/x-sgi-movie": "movie",
    # Fonts
    "application/vnd.ms-fontobject": "eot",
    "font/collection": "ttc",
    "font/otf": "otf",
    "font/ttf": "ttf",
    "font/woff": "woff",
    "font/woff2": "woff2",
    # Three dimensions
    "model/3mf": "3mf",
    "model/gltf+json": "gltf",
    "model/gltf-binary": "glb",
    "model/mtl": "mtl",
    "model/obj": "obj",
    "model/step": "step stp",
    "model/stl": "stl",
    "model/vnd.collada+xml": "dae",
    "model/vnd.usda": "usda",
    "model/vnd.usdz+zip": "usdz",
    "model/x3d+xml": "x3d",
    # Documents
    "application/epub+zip": "epub",
    "application/msword": "doc dot wiz",
    "application/oda": "oda",
    "application/pdf": "pdf",
    "application/postscript": "ai eps ps",
    "application/rtf": "rtf",
    f"{_OPEN}.graphics": "odg",
    f"{_OPEN}.presentation": "odp",
    f"{_OPEN}.spreadsheet": "ods",
    f"{_OPEN}.text": "odt",
    f"{_OPEN}.text-template": "ott",
    f"{_OFFICE}.presentationml.presentation": "pptx",
    f"{_OFFICE}.presentationml.slideshow": "ppsx",
    f"{_OFFICE}.presentationml.template": "potx",
    f"{_OFFICE}.spreadsheetml.sheet": "xlsx",
    f"{_OFFICE}.spreadsheetml.template": "xltx",
    f"{_OFFICE}.wordprocessingml.document": "docx",
    f"{_OFFICE}.wordprocessingml.template": "dotx",
    "application/vnd.amazon.ebook": "azw azw3",
    "application/vnd.apple.numbers": "numbers",
    "application/vnd.apple.pages": "pages",
    "application/vnd.ms-excel": "xla xlb xls xlt",
    "application/vnd.ms-excel.sheet.binary.macroenabled.12": "xlsb",
    "application/vnd.ms-excel.sheet.macroenabled.12": "xlsm",
    "application/vnd.ms-outlook": "msg",
    "application/vnd.ms-powerpoint": "pot ppa pps ppt pwz",
    "application/vnd.ms-powerpoint.presentation.macroenabled.12": "pptm",
    "application/vnd.ms-word.document.macroenabled.12": "docm",
    "application/vnd.ms-xpsdocument": "xps",
    "application/vnd.visio": "vsd vsdx",
    "application/x-mif": "mif",
    "application/x-mobipocket-ebook": "mobi prc",
    "application/x-texinfo": "texi texinfo",
    "message/rfc822": "eml mht mhtml nws",
    # Archives
    "application/gzip": "gz taz tgz",
    "application/java-archive": "jar war",
    "application/vnd.android.package-archive": "apk",
    "application/vnd.debian.binary-package": "deb",
    "application/vnd.ms-cab-compressed": "cab",
    "application/vnd.rar": "rar",
    "application/x-7z-compressed": "7z",
    "application/x-apple-diskimage": "dmg",
    "application/x-archive": "a",
    "application/x-bcpio": "bcpio",
    "application/x-bzip2": "bz2 tbz tbz2",
    "application/x-compress": "z",
    "application/x-cpio": "cpio",
    "application/x-gtar": "gtar",
    "application/x-iso9660-image": "iso",
    "application/x-lz4": "lz4",
    "application/x-lzip": "lz",
    "application/x-lzma": "lzma tlz",
    "application/x-rpm": "rpm",
    "application/x-shar": "shar",
    "application/x-sv4cpio": "sv4cpio",
    "application/x-sv4crc": "sv4crc",
    "application/x-tar": "tar",
    "application/x-ustar": "ustar",
    "application/x-xpinstall": "xpi",
    "application/x-xz": "txz xz",
    "application/zip": "npz whl zip",
    "application/zstd": "tzst zst",
    # Data
    "application/dicom": "dcm dicom",
    "application/geo+json": "geojson",
    "application/geopackage+sqlite3": "gpkg",
    "application/gml+xml": "gml",
    "application/gpx+xml": "gpx",
    "application/json": "json map",
    "application/json5": "json5",
    "application/jsonl": "jsonl",
    "application/ld+json": "jsonld",
    "application/n-quads": "nq",
    "application/n-triples": "nt",
    "application/rdf+xml": "rdf",
    "application/sql": "sql",
    "application/toml": "toml",
    "application/trig": "trig",
    "application/vnd.apache.arrow.file": "arrow feather",
    "application/vnd.apache.arrow.stream": "arrows",
    "application/vnd.apache.avro": "avro",
    "application/vnd.apache.orc": "orc",
    "application/vnd.apache.parquet": "parquet",
    "application/vnd.google-earth.kml+xml": "kml",
    "application/vnd.google-earth.kmz": "kmz",
    "application/vnd.sqlite3": "sqlite sqlite3",
    "application/x-hdf": "hdf",
    "application/x-hdf5": "h5 hdf5",
    "application/x-ipynb+json": "ipynb",
    "application/x-matlab-data": "mat",
    "application/x-ndjson": "ndjson",
    "application/x-netcdf": "cdf nc",
    "application/yaml": "yaml yml",
    # The web and its programs
    "application/atom+xml": "atom",
    "application/dash+xml": "mpd",
    "application/graphql": "gql graphql",
    "application/manifest+json": "webmanifest",
    "application/rss+xml": "rss",
    "application/vnd.apple.mpegurl": "m3u m3u8",
    "application/wasm": "wasm",
    "application/xhtml+xml": "xht xhtml",
    "application/xml": "wsdl xpdl xsd xsl",
    "application/xslt+xml": "xslt",
    "application/xml-dtd": "dtd",
    "application/x-bittorrent": "torrent",
    "application/x-shockwave-flash": "swf",
    # Keys, programs and the rest
    "application/pgp-keys": "gpg",
    "application/pgp-signature": "sig",
    "application/pkcs7-mime": "p7c p7m",
    "application/pkix-cert": "cer",
    "application/x-csh": "csh",
    "application/x-dvi": "dvi",
    "application/x-httpd-php": "phtml",
    "application/x-java-class": "class",
    "application/x-mimearchive": "webarchive",
    "application/x-msi": "msi",
    "application/x-pem-file": "crt pem",
    "application/x-pkcs12": "p12 pfx",
    "application/x-python-code": "pyc pyo",
    "application/x-sh": "bash sh zsh",
    "application/x-tcl": "tcl",
    "application/x-wais-source": "src",
    DEFAULT_TYPE: "bin ckpt dat dll exe gguf npy o onnx pb pkl pt pth safetensors so",
}


def _by_extension() -> Iterator[tuple[str, str]]:
    for media_type, extensions in _TABLE.items():
        for extension in extensions.split():
            yield extension, media_type


_TYPES: Final = dict(_by_extension())


def content_type_of(key: str) -> str:
    """Return the MIME type by extension; the type of ``x.tar.gz`` is that of gzip."""
    _, dot, extension = key.rpartition("/")[2].rpartition(".")
    if not dot:
        return DEFAULT_TYPE
    return _TYPES.get(extension) or _TYPES.get(extension.lower(), DEFAULT_TYPE)


def is_text(content_type: str) -> bool:
    """Return whether a type is text, whose bytes mean nothing without a charset."""
    return content_type.startswith("text/")


def is_utf8(body: bytes) -> bool:
    """Return whether the bytes are UTF-8; ASCII, as most bodies are, is recognised without a copy."""
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
