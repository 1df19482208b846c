"""Strings that tokenizers and caption cleaners get wrong: for parity and for committed references.

`TOKENIZER` and `CAPTIONS` are made of a written list and of combinations drawn with a fixed seed.
"""

import random
import unicodedata

PROMPTS = [
    "",
    " ",
    "a",
    "an oil painting of a snowy mountain village",
    "a photo of the amalfi coast",
    "a photo of a man",
    "a photo of a hipster barista",
    "a photo of a dog",
    "an oil painting of people around a campfire",
    "an oil painting of an old man",
    "a lithograph of waterfalls",
    "a lithograph of a skull",
    "a man wearing a hat",
    "a high quality photo",
    "a rocket ship",
    "a pencil",
    "A HIGH QUALITY PHOTO",
    "A Mixed Case Prompt With Capitals",
    "two cats, one dog; three birds: four fish.",
    "it's the artist's \"best\" work (so far)!",
    "a 3d render of 12 red apples, f/1.8, 50mm",
    "wow!!! what??? yes... no -- maybe---",
    "price: $5.99 + 20% tax = $7.19",
    "e-mail me at someone@example.com",
    "https://example.com/a?b=c&d=e#f",
    "C:\\path\\to\\file_name.txt",
    "snake_case and camelCase and kebab-case",
    "<b>bold</b> &amp; <i>italic</i>",
    "{json: [1, 2, 3]} | ~tilde~ ^caret^ `code`",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "xqzjkvw zzzzzz qqqqqq wwwww",
]
WHITESPACE = [
    "  two  spaces   and    more  ",
    "tab\tnewline\nreturn\r\nformfeed\x0cvertical\x0b",
    "no\u00a0break\u202fspaces\u2007here",
    "em\u2003en\u2002thin\u2009hair\u200aideographic\u3000space",
    "line\u2028separator paragraph\u2029separator next\u0085line",
    "\u0085",
    "\u00a0\u00a0a\u00a0",
    "zero\u200bwidth\u200cnon\u200djoiner\ufeffbom",
    "soft\u00adhyphen word\u2060joiner",
    "\u200ba\u200b",
    "control\x01\x02\x1f\x7fcharacters\x9f",
    "\x00nul\x00",
    "left\u200eto\u200fright \u202amarks\u202c",
    "\ufeff",
    "\u200b \u00ad",
]
COMPATIBILITY = [
    "ﬁne ﬂow oﬃce ﬀ ﬄ ﬅ ﬆ",
    "Ｆｕｌｌｗｉｄｔｈ　ＴＥＸＴ　１２３！",
    "ｈａｌｆ ｶﾀｶﾅ ｶﾞ ﾊﾟ ﾟ",
    "𝓬𝓾𝓻𝓼𝓲𝓿𝓮 𝔣𝔯𝔞𝔨𝔱𝔲𝔯 𝕕𝕠𝕦𝕓𝕝𝕖 𝙢𝙤𝙣𝙤",
    "x² y³ H₂O 10⁻³ aⁿ",
    "½ ¼ ¾ ⅓ ⅛ ↉",
    "① ② ⑳ ⒈ ⒜ Ⓐ ⓩ",
    "Ⅳ ⅻ Ⅿ ⅷ",
    "℃ ℉ № ℡ ™ ℠ ® © ℗",
    "㎏ ㎡ ㏒ ㍿ ㋿ ㊗ ㈱",
    "… ‥ ․ ‼ ⁉ ⁇",
    "“curly” ‘quotes’ „low‟ «guillemets» ‹single›",
    "dash – en — em ― bar ‐ hyphen ‑ nonbreaking ‒ figure − minus",
    "ª º µ ¹ ſ ƿ ŉ",
    "\u212b \u00c5 A\u030a \u212a \u2126",
    "ǅ ǈ ǋ ǳ Ĳ ĳ",
    "﷼ ﷽ ﷺ",
    "ﻼ ﺍﻟﺴﻼﻡ",
    "＜/s＞",
    "＜extra_id_5＞ ＜pad＞ ＜unk＞",
    "a＜/s＞b c＜/s＞",
    "☃＜unk＞☃",
]
MARKS = [
    "café naïve résumé",
    "cafe\u0301 nai\u0308ve re\u0301sume\u0301",
    "Ａ\u0301 ｅ\u0301 ＿\u0332",
    "\u0301alone \u0300 \u0327",
    "a\u0323\u0302 e\u0323\u0302 o\u031b\u0301",
    "a\u0302\u0323 a\u0301\u0302\u0303\u0304",
    "ậ ế ở ữ Ệ",
    "½\u0338 ™\u0301 ²\u20dd ¨\u0301",
    "x\u0338 =\u0338 ≠ <\u0338",
    "n\u0303 N\u0303 ñ Ñ",
    "Z̴̢a̷l̶g̵o̸ t̸e̷x̶t̵",
    "\u00a0\u0301 \u3000\u0301",
    "ė̇ ạ̇ q̣̇ q̣̇",
    "İstanbul ısı i̇ İ",
    "A\u030angstro\u0308m Ångström",
    "\u0344 \u0385 \u1fee",
    "ﬁ\u0301 ﬃ\u0308",
    "\u200c\u0301 \u200d\u0301 a\u200d\u0301",
]
SCRIPTS = [
    "日本語の文字",
    "中文字符測試 简体",
    "漢字かな交じり文カタカナ",
    "한국어 문장",
    "한국어",
    "\u1112\u1161\u11ab\u1100\u116e\u11a8 \u1100\u1161\u11a8",
    "Русский текст Ёлка",
    "Ελληνικά κείμενο ΐ",
    "עברית עִבְרִית",
    "العربية مُحَمَّد",
    "हिन्दी पाठ क्षत्रिय",
    "ภาษาไทย น้ำ",
    "བོད་སྐད",
    "မြန်မာ",
    "ქართული",
    "Հայերեն",
    "አማርኛ",
    "Tiếng Việt có dấu",
    "Zażółć gęślą jaźń",
    "Žluťoučký kůň",
    "Größe Straße ẞ",
    "œuvre Œuvre æon Æ ø Ø",
    "română știință țară şi ţ",
    "face français àçéèêëîïôùûüÿ",
    "中a文b字c",
    "𠀀𠮷 𝟘 🀄",
]
EMOJI = [
    "😀",
    "a 😀 b",
    "😀😃😄",
    "👍🏽 👍🏿",
    "👨‍👩‍👧‍👦",
    "🏳️‍🌈 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "🇩🇪🇫🇷 🇺",
    "1️⃣ #️⃣ *️⃣",
    "❤️ ❤ ☎️ ©️ ™️ ‼️",
    "a🏽b e\U0001f3fbf",
    "🧑🏻‍🚀🚀✨",
    "☃☃ ☃ ☃☃☃",
    "→←↑↓ ⇒ ∀x∈ℝ √2 ≤ ∞",
    "♠♥♦♣ ♪♫ ★☆",
    "¡¿§¶•·°±×÷",
    "¢£¥€₿",
    "\U0010ffff \ufffd \ue000",
]
SPECIAL = [
    "</s>",
    "<pad>",
    "<unk>",
    "<extra_id_0>",
    "<extra_id_99>",
    "<extra_id_100>",
    "<extra_id_1><extra_id_2>",
    "a <extra_id_0> photo <extra_id_1> of",
    "a<extra_id_0>b",
    "end</s>",
    "</s>start",
    "a </s> b </s>",
    "</s></s></s>",
    " <pad> <pad> ",
    "<unk>x x<unk>",
    "☃<unk>☃",
    "</S> <PAD> <EXTRA_ID_0> <Extra_Id_0>",
    "< /s> </ s> </s >",
    "<extra_id_> <extra_id_01> <extra_id_-1>",
    "<s> <mask> [CLS] [PAD] <|endoftext|>",
    "▁ ▁a a▁b ▁▁ _a",
    "</s>\u0301 </s>\u200b",
    "<extra_id_7>é<extra_id_8>",
    "<0x41> <0xFF>",
]
LONG = [
    "word " * 75,
    "word " * 76,
    "word " * 77,
    "a " * 75 + "b",
    "a " * 76 + "b",
    "a " * 200,
    "supercalifragilisticexpialidocious" * 20,
    "漢" * 300,
    "☃ " * 100,
    "e\u0301" * 120,
    "a photo of " + ", ".join(f"thing number {n}" for n in range(60)),
    "<extra_id_0>" * 100,
    "x" * 1000,
    " " * 1000 + "far" + " " * 1000,
]
WRITTEN = PROMPTS + WHITESPACE + COMPATIBILITY + MARKS + SCRIPTS + EMOJI + SPECIAL + LONG


def unassigned_or_half(c: str) -> bool:
    return unicodedata.category(c) in ("Cn", "Cs")


def drawn_character(rng: random.Random) -> str:
    """Letters often; otherwise marks, compatibility forms, emoji, or any assigned character."""
    ranges = rng.choice(
        [(0x20, 0x7E)] * 4
        + [(0xA0, 0x24F), (0x300, 0x36F), (0x1E00, 0x1FFF), (0x2000, 0x2BFF), (0x3000, 0x9FFF)]
        + [(0xAC00, 0xD7A3), (0xF900, 0xFFEF), (0x1F1E6, 0x1FAFF), (0x1D400, 0x1D7FF)]
        + [(0, 0x10FFFF)]
    )
    while unassigned_or_half(c := chr(rng.randint(*ranges))):
        pass
    return c


def drawn_strings(count: int, seed: int) -> list[str]:
    """Random characters, random joints of the written strings, and other normal forms of both."""
    rng = random.Random(seed)
    strings = []
    for i in range(count):
        if i % 2:
            text = "".join(drawn_character(rng) for _ in range(rng.randint(1, 24)))
        else:
            parts = [rng.choice(WRITTEN)[:30] for _ in range(rng.randint(2, 4))]
            text = rng.choice(["", " ", "\u00a0", "</s>"]).join(parts)
        form = rng.choice([None, "NFC", "NFD", "NFKC", "NFKD"])
        strings.append(unicodedata.normalize(form, text) if form else text)
    return strings


TOKENIZER = WRITTEN + drawn_strings(480, seed=1)

# What the cleaning rules look for, right and slightly wrong.
CAPTION_PARTS = [
    "A Photo", "of", "a dog", "<person>", "<PERSON>", "http://",
    "https://www.Example.com/a_b/c?d=e", "https:/x", "www.example.org", "www:x", "foo-bar.co.uk",
    "example.com@home", "site.net/", "me@example.com", "@nick_name", "@ nick", "<b>bold</b>",
    "<br/>", "<a href='x.com'>link</a>", "<!-- note -->", "<script>x=1</script>", "a < b > c",
    "</p>", "<unclosed", "&amp;", "&amp", "&amp;amp;lt;", "&quot;said&quot;", "&quot", "&lt;b&gt;",
    "&#65;&#x42;", "&eacute;", "&nbsp;", "&unknown;", "a%20b", "caf%C3%A9", "100%", "a+b",
    "日本語", "漢a字", "カタカナ", "한국어", "㈱", "㌔", "䷀", "ㇰ", "—", "a – b", "―", "〜", "−",
    "this-is-my-cute-cat", "this_is_my_cat", "a-b-c", "a-b-c-d-e", "`tick`", "´", "«quoted»",
    "“curly”", "‘single’", "¨", "192.168.0.1", "1.2.3.4.5", "1234.1.1.1", "3:45 ", "3:45",
    "at 10:30 ", "line\\nbreak", "line\nbreak", "\\\\n", "#1", "#123", "#1234", "#12345",
    "#123abc", "123456", "1234567890", "12345", "photo.png", "my photo.JPEG", "a.b.mp4", ".pdf",
    "x.pngs", '""quoted""', "'''", "\"'", "...", "a..b", ". . .", " . ", "a .b", "#tag", "®",
    "©2020", "™", "a & b", "½", "¡hola!", "¿que?", "§5", "~wave~", "(paren)", "[square]",
    "{curly}", "a|b", "a\\b", "a/b", "*star*", "***", "jc6640", "jc6640vc", "6640vc231",
    "abcd1234", "ab1", "a1b2c3", "j2d1a2a", "mp3", "4k", "free shipping",
    "Worldwide Free Shipping", "shipping", "worldwide  shipping", "free download", "download free",
    "downloads", "Click for more", "click on link", "clicks on it", "png image", "jpg images",
    "epson", "pdfs", "page 12", "page", "pages 3", "512x512", "3.5 x 4", "3.5×4", "10х15", "1x",
    "a : b", "a :b", " : ", ":", "a,b", "a.b", "1,000", "3.14", ",", ".hidden", "-dash", "_under_",
    "'quoted'", '"all quoted"', "+plus+", "ÐŸÑ€Ð¸Ð²ÐµÑ‚", "cafÃ©", "itâ€™s", "ｆｕｌｌ", "ﬁsh",
    "\u00a0", "\u200b", "\ufeff", "\t", "\x00", "\x1b[31m", "😀", "👨‍👩‍👧", "e\u0301", "İ", "ẞ",
    "ſ", "ŉ", "Ǆ", "\u2028", "  ", "",
]  # fmt: skip


def drawn_captions(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    captions = []
    for _ in range(count):
        parts = [rng.choice(CAPTION_PARTS) for _ in range(rng.randint(2, 7))]
        captions.append(rng.choice(["", " ", "\u00a0"]).join(parts))
    return captions


CAPTIONS = CAPTION_PARTS + PROMPTS + SPECIAL + drawn_captions(250, seed=2)
