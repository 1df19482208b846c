"""Caption cleaning does what the official pipeline does, slips included."""

import pytest
from reference_files import read_texts

from minidiff.deepfloyd.captions import LONGEST, clean_caption
from minidiff.errors import UserError

PAIRS = read_texts()["captions"]


def test_captions_come_out_as_the_reference_s():
    assert len(PAIRS) >= 400
    wrong = [text for text, expected in PAIRS if clean_caption(text) != expected]
    assert wrong == []


@pytest.mark.parametrize(
    ("caption", "cleaned"),
    [
        ("an oil painting of a snowy village", "an oil painting of a snowy village"),
        ("A Photo of a DOG", "a photo of a dog"),
        ("", ""),
        ("see https://example.com/a for more", "see for more"),
        ("<b>bold</b> &eacute;t&eacute;", "bold été"),
        ("this-is-my-cute-cat", "this is my cute cat"),
        ("a well-known cat", "a well-known cat"),
        ("a “quoted” word", 'a "quoted" word'),
        ("IMG_1234.JPG of a cat", "of a cat"),
        ("a cat 日本語", "a cat"),
        ("a cat カナ", "a cat カナ"),
        ("free shipping: a mug", "a mug"),
        ("ｆｕｌｌ width", "full width"),
        ("a 512x512 photo page 3", "a photo"),
        ("#hashtag (brackets) [more]", "hashtag brackets more"),
    ],
)
def test_what_it_is_for(caption, cleaned):
    assert clean_caption(caption) == cleaned


def test_slips_of_the_official_code_are_kept():
    assert clean_caption("www:example") == "xample"  # "www:" and one character
    assert clean_caption("an epson printer") == "an on printer"  # eps, an image file type
    assert clean_caption("#1234 and #123") == "1234 and"  # only 1 to 3, or 5 and more digits
    assert clean_caption("1+1") == "1 1"  # unquoted like a web address
    # trimmed only after the rules for the ends of a caption have run
    assert clean_caption("free shipping 'quoted'") == "'quoted"


def test_a_second_pass_removes_what_the_first_uncovers():
    assert clean_caption("a%2520b") == "a%20b"
    assert clean_caption("a%20b") == "a b"


@pytest.mark.parametrize("caption", ["<![foo]>", "a \ud800", "x" * (LONGEST + 1)])
def test_refuses_what_cannot_be_cleaned(caption):
    with pytest.raises(UserError):
        clean_caption(caption)


def test_a_prompt_like_a_file_name_causes_no_warning(recwarn):
    assert clean_caption("a.cat") == "a. cat"
    assert clean_caption("./home/cat") == ". home cat"
    assert not recwarn.list
