"""Characters that have no look of their own, though they count as letters, marks or symbols.

A person sees nothing of them and a language model reads them: with variation selectors, for one, a
whole message can be written behind a single letter. Format characters (bidi, zero width, tags) are
not among them: whoever asks for printable text is rid of those already.

Source: Unicode 15.0, DerivedCoreProperties.txt, Default_Ignorable_Code_Point; and U+2800, the empty
Braille pattern.
"""

from __future__ import annotations

import re

UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
