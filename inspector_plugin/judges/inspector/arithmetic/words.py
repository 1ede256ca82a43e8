"""Words that decide how the numbers next to them are read."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Commands of LaTeX that change nothing.
TRANSPARENT = _words(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr displaystyle textstyle boxed fbox "
    "textbf mathbf text mathrm bf rm limits nolimits"
)
# Functions, which are not computed.
FUNCTIONS = _words("sin cos tan log ln exp gcd lcm max min abs pi mod sec csc cot")
# Units that may stand right after a number: 5km.
ATTACHED = _words(
    "km cm mm nm kg mg lb lbs oz ft in min mins hr hrs mph kph ml gal mi yd yds sec secs am pm"
)
# Short words in capitals that name no quantity.
CAPITALS = _words("USD EUR GBP CAD AM PM TV CD DVD KB MB GB TB OK MPH KG CM KM ML LB")
# What makes "5 times" the beginning of a comparison.
AFTER_TIMES = _words("the as that this more larger bigger older his her their its what")
# Words that may multiply the number before them.
SCALES = _words(
    "hundred hundreds thousand thousands million millions billion billions trillion dozen "
    "dozens percent"
)
# Units of which one text may mix several.
CONVERTIBLE = _words(
    "$ cent cents dollar dollars penny pennies nickel nickels dime dimes quarter quarters "
    "second seconds sec secs s minute minutes min mins hour hours hr hrs h day days week "
    "weeks month months year years decade decades century centuries km cm mm m kilometer "
    "kilometers kilometre kilometres meter meters metre metres centimeter centimeters inch "
    "inches in foot feet ft yard yards mile miles kg g mg gram grams kilogram kilograms pound "
    "pounds lb lbs ounce ounces oz ton tons liter liters litre litres l ml milliliters gallon "
    "gallons quart quarts pint pints cup cups tablespoon tablespoons teaspoon teaspoons dozen "
    "dozens pair pairs"
)
# Words that begin something else than a unit.
NO_UNITS = _words("and by from to with then so than if because but that which or we")
# Marks of a division with a remainder.
REMAINDERS = _words("remainder remainders R leftover")
# Words after "12 is 3" that make it a comparison.
COMPARING = _words("more less fewer larger greater smaller times older younger as")
# Words that take a part of the number after "of".
FRACTION_WORDS = _words(
    "half third thirds quarter quarters fourth fourths fifth fifths sixth percent percentage "
    "twice double triple out"
)
# Commands of LaTeX that separate expressions.
SEPARATING = _words(
    "le leq ge geq ne neq lt gt to implies Rightarrow rightarrow Longrightarrow quad qquad "
    "therefore because newline item"
)
