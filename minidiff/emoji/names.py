"""Names of emoji: how an annotation becomes a prompt, and which concepts are near duplicates.

A *concept* is one Unicode emoji (a code point sequence without FE0F). A *family* is a name that
several concepts share once words that hardly change the picture are taken out: "man running",
"woman running: facing right" and "person running" are three concepts of the family "running".
"""

import re
import unicodedata

FE0F, SKIN_TONES = "fe0f", ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff")

# Names whose point is a symbol that the caption cleaning of IF would drop.
SPOKEN = {"keycap: #": "keycap hash", "keycap: *": "keycap asterisk"}

# In the group people-body: words that say who is drawn or which way it faces, not what it does.
WHO_WORDS = {"man", "men", "woman", "women", "person", "people", "and"}
WHO_WORDS |= {"leftwards", "rightwards", "left-facing", "right-facing"}
# In the subgroup geometric: the same figure, only bigger or smaller.
SIZE_WORDS = {"large", "medium", "medium-small", "small"}

# Near duplicates that no rule on words finds: concept name -> family.
SAME_PICTURE = {
    "boy": "child",
    "girl": "child",
    "old man": "old person",
    "old woman": "old person",
    "older person": "old person",
    "merman": "merperson",
    "mermaid": "merperson",
    "santa claus": "claus",
    "mrs claus": "claus",
    "mx claus": "claus",
    "prince": "royalty",
    "princess": "royalty",
    "person with crown": "royalty",
    "breast-feeding": "feeding baby",
    "hourglass done": "hourglass",
    "hourglass not done": "hourglass",
    "magnifying glass tilted left": "magnifying glass",
    "magnifying glass tilted right": "magnifying glass",
    "globe showing europe-africa": "globe",
    "globe showing americas": "globe",
    "globe showing asia-australia": "globe",
    "snowman without snow": "snowman",
}


def clean_name(annotation: str) -> str:
    """OpenMoji's annotation as a prompt: lower-case words of ASCII letters, digits, - and '.

    Such a string passes the official caption cleaning unchanged, so what is trained is what a
    user's prompt becomes.
    """
    name = SPOKEN.get(annotation, annotation).lower().replace("\u2019", "'")
    name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return " ".join(re.findall(r"[a-z0-9][a-z0-9'-]*", name))


def sign_names(table: list[dict]) -> dict[str, str]:
    """OpenMoji's table as what a checkpoint's tokenizer/emoji_names.json holds: code -> name.

    Flags are there, although no picture of one was trained with; of those signs that exist in skin
    tones only ("handshake: light skin tone, dark skin tone") the words before the colon.
    """
    names: dict[str, str] = {}
    for row in table:
        if row["group"] == "component" or row["group"].startswith("extras"):
            continue
        points = row["hexcode"].lower().split("-")
        code = "-".join(point for point in points if point not in (FE0F, *SKIN_TONES))
        said = row["annotation"].split(":")[0] if row["skintone"] else row["annotation"]
        if code not in names or not row["skintone"]:
            names[code] = clean_name(said)
    return names


def family_name(annotation: str, group: str, subgroup: str) -> str:
    """The name shared by near duplicates of a concept; most concepts are a family of their own.

    annotation, group, subgroup: as in OpenMoji's table. In people-body all after a colon goes
    (hair, facing right, who kisses whom) and so do WHO_WORDS; in geometric SIZE_WORDS go; clock
    faces, arrows, moons and keycaps stay distinct; SAME_PICTURE lists the rest.
    """
    name = clean_name(annotation)
    if name in SAME_PICTURE:
        return SAME_PICTURE[name]
    if group == "people-body":
        words = clean_name(annotation.split(":")[0]).split()
        return " ".join(word for word in words if word not in WHO_WORDS) or "person"
    if subgroup == "geometric":
        return " ".join(word for word in name.split() if word not in SIZE_WORDS)
    return name
