"""The languages that Whisper's models know, by code and by the English names that whisper's own command line takes."""

import difflib

AUTO = "auto"
# Each code, and what the language is called; the first name is shown.
_LISTED = (
    "en English, zh Chinese/Mandarin, de German, es Spanish/Castilian, ru Russian, ko Korean, fr French, ja Japanese, "
    "pt Portuguese, tr Turkish, pl Polish, ca Catalan/Valencian, nl Dutch/Flemish, ar Arabic, sv Swedish, it Italian, "
    "id Indonesian, hi Hindi, fi Finnish, vi Vietnamese, he Hebrew, uk Ukrainian, el Greek, ms Malay, cs Czech, "
    "ro Romanian/Moldavian/Moldovan, da Danish, hu Hungarian, ta Tamil, no Norwegian, th Thai, ur Urdu, hr Croatian, "
    "bg Bulgarian, lt Lithuanian, la Latin, mi Maori, ml Malayalam, cy Welsh, sk Slovak, te Telugu, fa Persian, "
    "lv Latvian, bn Bengali, sr Serbian, az Azerbaijani, sl Slovenian, kn Kannada, et Estonian, mk Macedonian, "
    "br Breton, eu Basque, is Icelandic, hy Armenian, ne Nepali, mn Mongolian, bs Bosnian, kk Kazakh, sq Albanian, "
    "sw Swahili, gl Galician, mr Marathi, pa Punjabi/Panjabi, si Sinhala/Sinhalese, km Khmer, sn Shona, yo Yoruba, "
    "so Somali, af Afrikaans, oc Occitan, ka Georgian, be Belarusian, tg Tajik, sd Sindhi, gu Gujarati, am Amharic, "
    "yi Yiddish, lo Lao, uz Uzbek, fo Faroese, ht Haitian Creole/Haitian, ps Pashto/Pushto, tk Turkmen, nn Nynorsk, "
    "mt Maltese, sa Sanskrit, lb Luxembourgish/Letzeburgesch, my Myanmar/Burmese, bo Tibetan, tl Tagalog, mg Malagasy, "
    "as Assamese, tt Tatar, haw Hawaiian, ln Lingala, ha Hausa, ba Bashkir, jw Javanese, su Sundanese, yue Cantonese"
)
NAMES = {code: names.split("/") for code, _, names in (language.partition(" ") for language in _LISTED.split(", "))}
BY_NAME = {name.lower(): code for code, names in NAMES.items() for name in names}
TAKEN = {AUTO: AUTO} | {code: code for code in NAMES} | BY_NAME
"""What is taken for a language, in lower case, and what the API takes for it."""


def code(language: str) -> str:
    """The code of a language given by it or by a name, in any case. Raises ValueError, which says what may be meant."""
    try:
        return TAKEN[language.lower()]
    except KeyError:
        # Of codes, that of Basque would be nearest to "deu". Less alike are Dutch to "Deutsch", Somali to "suomi".
        alike = difflib.get_close_matches(language.lower(), BY_NAME, n=1, cutoff=0.85)
        guess = f" Did you mean {_shown(BY_NAME[alike[0]])}?" if alike else ""
        raise ValueError(f"{language!r} is no language that Whisper knows.{guess}") from None


def listed() -> str:
    """All languages by name, each with its code."""
    return ", ".join(sorted(map(_shown, NAMES)))


def _shown(code: str) -> str:
    return f"{NAMES[code][0]} ({code})"
