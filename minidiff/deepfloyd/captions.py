"""Caption cleaning: what DeepFloyd IF does to a prompt before its tokenizer sees it.

The model was trained on captions from the web, cleaned by rules against what is not a description:
addresses, markup, shop talk, file names, article numbers. A prompt must pass through the same rules
or it is not what the model knows. So the rules here do what the official ones do, slips included;
where one looks wrong, a comment says so. All prompts become lower case, and symbols such as #, &
and / never reach the model.

beautifulsoup4 takes markup out and ftfy repairs wrongly decoded text; the rest are substitutions,
in this order.

Source: the behaviour of the official pipeline (class IFPipeline of diffusers).
"""

import html
import re
import warnings
from urllib.parse import unquote_plus

from minidiff.errors import UserError

LONGEST = 5000  # characters: 77 tokens are some 400, and the rules need seconds for more

Rule = tuple[re.Pattern, str]  # what to look for, and what to put in its place


def rules(*pairs: tuple[str, str]) -> list[Rule]:
    return [(re.compile(pattern), replacement) for pattern, replacement in pairs]


FILE_TYPES = "png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4"
# A host name with one of these endings, and its path; not when an @ follows.
SITE = r"[a-z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b/?(?!@)"

BEFORE_MARKUP = rules(
    ("<person>", "person"),  # a placeholder of the training data, not markup
    # Web addresses. Of "https://x.org" the first half takes "https://", the second "x.org".
    (rf"\b(?:https?:(?:/{{1,3}}|[a-z0-9%])|{SITE})", ""),
    # The official rule says "www:", where "www." must be meant. What the first pass over SITE
    # has joined together, this second one can still find.
    (rf"\b(?:www:(?:/{{1,3}}|[a-z0-9%])|{SITE})", ""),
)

DASHES = (  # Unicode's dash punctuation as of Unicode 12, the plain hyphen included
    "-\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40"
    "\u301c\u3030\u30a0\ufe31\ufe32\ufe58\ufe63\uff0d"
)

AFTER_MARKUP = rules(
    (r"@\w+\b", ""),  # @nickname
    # Chinese characters, and the blocks before them: strokes, enclosed, compatibility, hexagrams.
    # Kana and Hangul lie elsewhere and stay.
    ("[\u31c0-\u9fff]+", ""),
    (f"[{DASHES}]+", "-"),
    ("[`´«»“”¨]", '"'),
    ("[‘’]", "'"),
    ("&quot;?", ""),
    ("&amp", ""),  # of "&amp;" the semicolon stays
    (r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", " "),  # IP addresses
    (r"\d:\d\d\s+$", ""),  # article numbers; only where white space follows
    (r"\\n", " "),  # a line break that somebody wrote as backslash and n
    (r"#\d{1,3}\b", ""),
    (r"#\d{5,}\b", ""),  # so #1234, of four digits, loses its # only
    (r"\b\d{6,}\b", ""),
    (rf"\S+\.(?:{FILE_TYPES})", ""),  # file names; the ending may go on, as in "a.pngx"
    (r"[\"']{2,}", '"'),
    (r"\.{2,}", " "),
    (r"[#®•©™&@·º½¾¿¡§~()\[\]{}|\\/*]+", " "),
    (r"\s+\.\s+", " "),
)

AFTER_REPAIR = rules(
    # Article numbers such as jc6640, jc6640vc, 6640vc231
    (r"\b[a-zA-Z]{1,3}\d{3,15}\b", ""),
    (r"\b[a-zA-Z]+\d+[a-zA-Z]+\b", ""),
    (r"\b\d+[a-zA-Z]+\d+\b", ""),
    # Shops
    (r"(?:worldwide\s+)?(?:free\s+)?shipping", ""),
    (r"(?:free\s)?download(?:\sfree)?", ""),
    (r"\bclick\b\s(?:for|on)\s\w+", ""),
    (rf"\b(?:{FILE_TYPES})(?:\simages?)?", ""),  # takes the first letters of "epson", too
    (r"\bpage\s+\d+\b", ""),
    (r"\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d+[a-zA-Z\d]*\b", " "),  # j2d1a2a
    (r"\b\d+\.?\d*[x\u0445×]\d+\.?\d*\b", ""),  # sizes, 512x512; the second x is Cyrillic
    # Punctuation
    (r"\b\s+:\s+", ": "),
    (r"(\D[,./])\b", r"\1 "),
    (r"\s+", " "),
    # The official code trims here, but drops the result, so a caption with white space at an end
    # keeps the quotes and marks next to it.
    (r"^[\"']([\w\W]+)[\"']$", r"\1"),
    (r"^['_,\-:;]", ""),
    (r"['_,\-:+]$", ""),
    (r"^\.\S+$", ""),
)


def clean_caption(caption: str) -> str:
    """One pass of the official cleaning. The official pipeline does two, one after the other.

    Raises UserError for markup that cannot be read, such as "<![foo]>", for more than LONGEST
    characters, and for half a character (a lone surrogate), over which the official code stumbles
    or not, depending on the rest.
    """
    check_unicode(caption)
    if len(caption) > LONGEST:
        raise UserError(f"the prompt has {len(caption)} characters; use at most {LONGEST}")
    caption = unquote_plus(caption).strip().lower()  # "%20" and "+" are spaces in web addresses
    caption = substitute(BEFORE_MARKUP, caption)
    # Most prompts are plain: the libraries would change nothing, and importing them takes 0.1 s.
    plain = caption.isascii() and caption.isprintable() and not set("<&") & set(caption)
    caption = substitute(AFTER_MARKUP, caption if plain else without_markup(caption))
    caption = split_joined_words(caption)
    if not plain:
        import ftfy

        caption = html.unescape(html.unescape(ftfy.fix_text(caption)))
    return substitute(AFTER_REPAIR, caption).strip()


def check_unicode(prompt: str) -> None:
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"the prompt has half a character (a lone surrogate, {prompt[error.start]!r}) at"
            f" position {error.start}: type it again"
        ) from error


def substitute(table: list[Rule], caption: str) -> str:
    for pattern, replacement in table:
        caption = pattern.sub(replacement, caption)
    return caption


def without_markup(caption: str) -> str:
    """The text between the tags; entities such as &eacute; are decoded."""
    from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning, XMLParsedAsHTMLWarning
    from bs4.exceptions import ParserRejectedMarkup

    try:
        with warnings.catch_warnings():
            # "you have passed a file name": a prompt may well look like one
            for kind in (MarkupResemblesLocatorWarning, XMLParsedAsHTMLWarning):
                warnings.simplefilter("ignore", kind)
            return BeautifulSoup(caption, features="html.parser").text
    except ParserRejectedMarkup as error:
        raise UserError(f"the prompt {caption!r} has broken markup; leave out its '<!'") from error


def split_joined_words(caption: str) -> str:
    """this-is-my-cute-cat -> this is my cute cat: with more than three - or _, all are spaces."""
    joints = caption.count("-") + caption.count("_")
    return re.sub("[-_]", " ", caption) if joints > 3 else caption
