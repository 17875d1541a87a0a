"""BLEU and chrF, from 0 to 100: how near written texts are to the wanted ones.

BLEU (Papineni et al. 2002, ACL P02-1040) counts words in common, chrF (Popović 2015, WMT15)
characters; both through sacrebleu (Post 2018, arXiv:1804.08771).
"""

from __future__ import annotations

from collections.abc import Sequence

# Scripts without spaces: Thai and Lao, Burmese, Khmer, kana and Chinese characters.
UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x9FFF))


def bleu_and_chrf(written: Sequence[str], wanted: Sequence[str]) -> tuple[float, float]:
    """Of a whole set of texts, each with the one that is wanted in its place."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    # Texts of less than four words are counted by what words they have. `force` keeps it from
    # warning that texts look as if they had been cut into words before.
    bleu = BLEU(tokenize=cut_by(wanted), effective_order=True, force=True)
    references = [list(wanted)]
    return (
        float(bleu.corpus_score(list(written), references).score),
        float(CHRF().corpus_score(list(written), references).score),
    )


def cut_by(texts: Sequence[str]) -> str:
    """How sacrebleu cuts texts: by character where most letters are of scripts without spaces."""
    letters = [ord(letter) for text in texts for letter in text if letter.isalpha()]
    unspaced = sum(any(low <= code <= high for low, high in UNSPACED) for code in letters)
    return "char" if 2 * unspaced > len(letters) else "13a"
