# kind: numbers
# aliases: round_sig, round_to_significant, significant_digits, sigfig, round_sigfigs, significant_figures,
#   round_to_n, round_significant_figures
# needs: significant, sigfig, sigfigs, sig+figs, sig+digits
# needs: round, rounding, digit, digits, figure, figures, rounds, sigfigs, figs
# unlike: how many, statistically, count, the number of significant
# words: number, numbers, value, float, given, n, three, two, four, figures, figure, digits, digit, sigfigs,
#   figs, sig, certain, decimal, places, to, a, keep, keeping, only, first, rounded, rounding, scientific,
#   measurement, physics, remain, significant, so, that

import math


def round_significant(value: float, digits: int) -> float:
    """Round a number to a number of significant digits.

    Exact halves are rounded to the even digit. As always with floats, 2.675 is a little less than it looks.

    Parameters
    ----------
    value : float
        The number.
    digits : int
        The number of significant digits, 1 to 17.

    Returns
    -------
    float
        The rounded number.

    Raises
    ------
    ValueError
        If the value is not finite, or `digits` is out of range.

    Examples
    --------
    >>> round_significant(1234.567, 3)
    1230.0

    >>> round_significant(-0.00098765, 2)
    -0.00099

    >>> round_significant(2.5, 1)
    2.0

    >>> round_significant(0, 5)
    0.0

    >>> round_significant(0.1, 17)
    0.1

    >>> round_significant(1.5, 0)
    Traceback (most recent call last):
    ValueError: digits must be from 1 to 17, not 0

    >>> round_significant(1.5, 18)
    Traceback (most recent call last):
    ValueError: digits must be from 1 to 17, not 18

    >>> round_significant(float("inf"), 3)
    Traceback (most recent call last):
    ValueError: the value inf is not a finite number

    Tags: numbers, rounding, digits
    """
    if not 1 <= digits <= 17:
        raise ValueError(f"digits must be from 1 to 17, not {digits}")
    if not math.isfinite(value):
        raise ValueError(f"the value {value} is not a finite number")
    return float(f"{value:.{digits - 1}e}")
