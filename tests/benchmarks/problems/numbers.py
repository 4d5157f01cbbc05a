"""Small problems with numbers: each function is a solution, its docstring the contract, `hidden` further calls."""


def is_prime(n: int) -> bool:
    """Tell whether a number is prime.

    >>> is_prime(7)
    True

    >>> is_prime(8)
    False
    """
    if n < 2:
        return False
    divisor = 2
    while divisor * divisor <= n:
        if n % divisor == 0:
            return False
        divisor += 1
    return True


is_prime.hidden = [(0,), (1,), (2,), (3,), (4,), (9,), (25,), (49,), (97,), (91,), (-3,), (121,)]


def is_leap(year: int) -> bool:
    """Tell whether a year is a leap year.

    >>> is_leap(2024)
    True

    >>> is_leap(2023)
    False
    """
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


is_leap.hidden = [(1900,), (2000,), (2100,), (2400,), (4,), (100,), (400,), (1996,), (2001,)]


def grade(score: int) -> str:
    """Tell whether a score passes, from 50, and with honours, from 90.

    >>> grade(95)
    'honours'

    >>> grade(60)
    'yes'

    >>> grade(10)
    'no'
    """
    if score >= 90:
        return "honours"
    return "yes" if score >= 50 else "no"


grade.hidden = [(90,), (89,), (50,), (49,), (0,), (100,), (80,)]


def clamp(value: int, low: int, high: int) -> int:
    """Bring a value between two bounds.

    >>> clamp(5, 0, 10)
    5

    >>> clamp(15, 0, 10)
    10
    """
    if low > high:
        raise ValueError("low must not be above high")
    return max(low, min(value, high))


clamp.hidden = [(-5, 0, 10), (0, 0, 10), (10, 0, 10), (3, 3, 3), (5, 7, 9), (1, 2, 1), (-1, -3, -2)]


def digit_sum(n: int) -> int:
    """Add the digits of a number.

    >>> digit_sum(123)
    6

    >>> digit_sum(0)
    0
    """
    return sum(int(digit) for digit in str(abs(n)))


digit_sum.hidden = [(9,), (10,), (-12,), (999,), (1001,)]


def fibonacci(n: int) -> int:
    """Return the n-th Fibonacci number, counted from 0.

    >>> fibonacci(1)
    1

    >>> fibonacci(7)
    13
    """
    if n < 0:
        raise ValueError("n must not be negative")
    current, following = 0, 1
    for _ in range(n):
        current, following = following, current + following
    return current


fibonacci.hidden = [(0,), (2,), (3,), (10,), (-1,), (20,)]


def gcd(a: int, b: int) -> int:
    """Return the greatest common divisor.

    >>> gcd(12, 18)
    6

    >>> gcd(7, 5)
    1
    """
    while b:
        a, b = b, a % b
    return abs(a)


gcd.hidden = [(0, 5), (5, 0), (0, 0), (-4, 6), (4, -6), (9, 3), (17, 17)]


def collatz_steps(n: int) -> int:
    """Count the Collatz steps from a number to 1.

    >>> collatz_steps(1)
    0

    >>> collatz_steps(6)
    8
    """
    if n < 1:
        raise ValueError("n must be positive")
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


collatz_steps.hidden = [(2,), (3,), (7,), (0,), (-1,), (27,)]


def to_roman(n: int) -> str:
    """Write a number from 1 to 39 in Roman numerals.

    >>> to_roman(4)
    'IV'

    >>> to_roman(28)
    'XXVIII'
    """
    if not 1 <= n <= 39:
        raise ValueError("n must be from 1 to 39")
    written = ""
    for value, numeral in [(10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]:
        while n >= value:
            written += numeral
            n -= value
    return written


to_roman.hidden = [(1,), (39,), (0,), (40,), (9,), (14,), (19,), (5,), (10,), (6,), (33,)]


def median(values: list[float]) -> float:
    """Return the median.

    >>> median([3.0, 1.0, 2.0])
    2.0

    >>> median([4.0, 1.0, 3.0, 2.0])
    2.5
    """
    if not values:
        raise ValueError("there are no values")
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


median.hidden = [
    ([],),
    ([5.0],),
    ([1.0, 2.0],),
    ([9.0, 1.0, 5.0, 3.0, 7.0],),
    ([1.0, 1.0, 2.0, 8.0, 9.0, 9.5],),
]


def price_with_discount(price: float, percent: float = 10.0) -> float:
    """Take a discount from a price, rounded to cents.

    >>> price_with_discount(100.0, 25.0)
    75.0

    >>> price_with_discount(80.0)
    72.0
    """
    if not 0 <= percent <= 100:
        raise ValueError("percent must be from 0 to 100")
    return round(price * (1 - percent / 100), 2)


price_with_discount.hidden = [
    (50.0, 0.0),
    (50.0, 100.0),
    (50.0, 101.0),
    (50.0, -1.0),
    (19.99, 15.0),
    (10.0,),
    (3.33, 33.0),
]


def count_divisors(n: int) -> int:
    """Count the divisors of a positive number.

    >>> count_divisors(6)
    4

    >>> count_divisors(7)
    2
    """
    return sum(1 for divisor in range(1, n + 1) if n % divisor == 0)


count_divisors.hidden = [(1,), (2,), (12,), (16,), (0,), (25,)]


def perfect_square(n: int) -> bool:
    """Tell whether a number is the square of a whole number.

    >>> perfect_square(16)
    True

    >>> perfect_square(15)
    False
    """
    if n < 0:
        return False
    root = int(n**0.5)
    return root * root == n or (root + 1) * (root + 1) == n


perfect_square.hidden = [(0,), (1,), (2,), (4,), (-4,), (24,), (25,), (26,), (1000000,)]


def triangle_kind(a: int, b: int, c: int) -> str:
    """Name a triangle by its sides.

    >>> triangle_kind(3, 3, 3)
    'equilateral'

    >>> triangle_kind(3, 4, 5)
    'scalene'
    """
    if a + b <= c or a + c <= b or b + c <= a:
        return "none"
    if a == b == c:
        return "equilateral"
    return "isosceles" if a == b or b == c or a == c else "scalene"


triangle_kind.hidden = [
    (1, 2, 3),
    (2, 2, 3),
    (3, 2, 2),
    (2, 3, 2),
    (1, 1, 2),
    (3, 1, 2),
    (1, 3, 1),
    (0, 0, 0),
    (5, 5, 9),
]


def parse_binary(text: str) -> int:
    """Read a binary number.

    >>> parse_binary("101")
    5

    >>> parse_binary("2")
    Traceback (most recent call last):
    ValueError
    """
    value = 0
    for digit in text:
        if digit not in "01":
            raise ValueError("not a binary digit")
        value = value * 2 + int(digit)
    return value


parse_binary.hidden = [("",), ("0",), ("1",), ("10",), ("1111",), ("1 0",), ("00011",), ("12",)]
