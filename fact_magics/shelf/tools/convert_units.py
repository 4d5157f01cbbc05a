# kind: units
# aliases: unit_converter, unit_convert, convert_unit, unit_conversion, convert_measurement
# needs: convert, converts, conversion, converter, converting
# needs: unit, units, temperature+between, length+between, weight+between, mass+between, volume+between,
#   distance+between, speed+between
# unlike: price, prices
# words: value, values, number, measurement, measurements, quantity, quantities, length, lengths, mass,
#   masses, weight, weights, distance, distances, temperature, temperatures, volume, volumes, time, speed,
#   speeds, area, energy, between, from, celsius, fahrenheit, kelvin, mile, miles, kilometers, kilometres,
#   km, meter, meters, metre, metres, foot, feet, inch, inches, yards, centimeters, centimetres, cm, pound,
#   pounds, lb, lbs, kilogram, kilograms, kg, gram, grams, ounce, ounces, litres, liters, gallons, pints,
#   knots, data, imperial, metric, si, one, another, other, different, seconds, minutes, hours, days, weeks,
#   degrees, joules, calories, physical, amount, nautical, common, such, like, measure, name, names, any

import math
import re
import unicodedata
from difflib import get_close_matches
from fractions import Fraction

# The units of each kind. Each has its size in the kind's first unit, then its symbol and names.
_UNITS = {
    "length": (
        "1 m meter metre; 1000 km kilometer kilometre; 1e6 Mm megameter megametre; 1/10 dm decimeter "
        "decimetre; 1/100 cm centimeter centimetre; 1/1000 mm millimeter millimetre; 1/1000000 μm um "
        "micrometer micrometre micron; 1/1000000000 nm nanometer nanometre; 0.0254 in inch inches; "
        "0.3048 ft foot feet; 0.9144 yd yard; 1609.344 mi mile; 1852 nmi nautical_mile; 149597870700 "
        "au astronomical_unit; 9460730472580800 ly light_year"
    ),
    "mass": (
        "1 kg kilogram kilogramme kilo; 1/1000 g gram gramme; 1/1000000 mg milligram; 1/1000000000 μg "
        "ug mcg microgram; 1000 t tonne metric_ton Mg megagram; 0.45359237 lb lbs pound; "
        "0.028349523125 oz ounce; 6.35029318 st stone; 907.18474 short_ton us_ton; 1016.0469088 "
        "long_ton imperial_ton; 0.0002 ct carat"
    ),
    "volume": (
        "1 l liter litre; 1/1000 ml milliliter millilitre cc cm3 cubic_centimeter cubic_centimetre; "
        "1/100 cl centiliter centilitre; 1/10 dl deciliter decilitre; 100 hl hectoliter hectolitre; "
        "1e6 Ml megaliter megalitre; 1000 m3 cubic_meter cubic_metre; 3.785411784 gal gallon "
        "us_gallon; 0.946352946 qt quart; 0.473176473 pt pint us_pint; 0.2365882365 cup; "
        "0.0295735295625 fl_oz fluid_ounce; 0.01478676478125 tbsp tablespoon; 0.00492892159375 tsp "
        "teaspoon; 4.54609 imperial_gallon uk_gallon; 0.56826125 imperial_pint uk_pint; 28.316846592 "
        "ft3 cubic_foot cubic_feet; 0.016387064 in3 cubic_inch cubic_inches; 158.987294928 bbl barrel"
    ),
    "time": (
        "1 s sec second; 1e6 Ms megasecond; 1/1000 ms millisecond; 1/1000000 μs us microsecond; "
        "1/1000000000 ns nanosecond; 60 min minute; 3600 h hr hour; 86400 d day; 604800 wk week; "
        "1209600 fortnight; 31557600 yr year julian_year"
    ),
    "data": (
        "8 B byte; 1 b bit; 8e3 kB KB kilobyte; 8e6 MB megabyte; 8e9 GB gigabyte; 8e12 TB terabyte; "
        "8e15 PB petabyte; 8192 KiB kibibyte; 8388608 MiB mebibyte; 8589934592 GiB gibibyte; "
        "8796093022208 TiB tebibyte; 9007199254740992 PiB pebibyte; 1e3 kb kbit kilobit; 1e6 Mb Mbit "
        "megabit; 1e9 Gb Gbit gigabit; 1e12 Tb Tbit terabit"
    ),
    "speed": (
        "1 m/s mps meter_per_second metre_per_second meters_per_second metres_per_second; 1000/3600 "
        "km/h kmh kph kilometer_per_hour kilometre_per_hour kilometers_per_hour kilometres_per_hour; "
        "0.44704 mph mi/h mile_per_hour miles_per_hour; 1852/3600 kn kt knot; 0.3048 ft/s fps "
        "foot_per_second feet_per_second"
    ),
    "area": (
        "1 m2 sqm sq_m square_meter square_metre; 1000000 km2 sq_km square_kilometer "
        "square_kilometre; 1/10000 cm2 square_centimeter square_centimetre; 10000 ha hectare; "
        "0.09290304 ft2 sqft sq_ft square_foot square_feet; 0.00064516 in2 sq_in square_inch square_inches; "
        "0.83612736 yd2 sq_yd square_yard; 4046.8564224 ac acre; 2589988.110336 mi2 sq_mi square_mile"
    ),
    "energy": (
        "1 J joule; 1000 kJ kilojoule; 4.184 cal calorie; 4184 kcal Cal kilocalorie; 3600 Wh "
        "watt_hour; 3.6e6 kWh kilowatt_hour"
    ),
}
# Temperature scales: the size of a degree in kelvin, the degrees from absolute zero to 0, and the names.
_TEMPERATURES = {
    "K": (Fraction(1), Fraction(0), "kelvin kelvins"),
    "C": (Fraction(1), Fraction("273.15"), "celsius degc degree_celsius degrees_celsius centigrade"),
    "F": (Fraction(5, 9), Fraction("459.67"), "fahrenheit degf degree_fahrenheit degrees_fahrenheit"),
}
_NO_FIXED_SIZE = {
    "ton": "a ton may be a 'tonne', a 'short ton' or a 'long ton'",
    "month": "a month has no fixed length; use days",
}


def convert_units(value: float, from_unit: str, to_unit: str) -> float:
    """Convert a value from one unit to another: length, mass, temperature, volume, time, data, speed and more.

    Units are given by symbol or English name, in singular or plural. The conversion factors are exact,
    by the units' definitions, and the result is rounded once, at the end.

    Parameters
    ----------
    value : float
        The amount, in `from_unit`.
    from_unit, to_unit : str
        ``km``, ``miles``, ``lb``, ``°C``, ``fl oz``, ``m/s``, ``kWh``, ``m²`` and so on. Gallons, pints and cups
        are US units, unless they are called imperial. A year is 365.25 days. ``MB`` is a megabyte of 1000 kB,
        ``MiB`` a mebibyte of 1024 KiB, ``Mb`` a megabit.

    Returns
    -------
    float
        The same amount, in `to_unit`.

    Raises
    ------
    ValueError
        If a unit is unknown or ambiguous, the units measure different things, the temperature is below
        absolute zero, or the value or the result is not finite.

    Examples
    --------
    >>> convert_units(26.2, "miles", "km")
    42.1648128

    >>> convert_units(98.6, "°F", "°C")
    37.0

    >>> convert_units(5.5, "feet", "cm")
    167.64

    >>> convert_units(1, "GiB", "MB")
    1073.741824

    >>> convert_units(100, "km/h", "m/s")
    27.77777777777778

    >>> convert_units(1, "kg", "meter")
    Traceback (most recent call last):
    ValueError: 'kg' measures mass, but 'meter' measures length

    >>> convert_units(3, "mb", "kB")
    Traceback (most recent call last):
    ValueError: 'mb' may be 'MB' or 'Mb'; write the one that you mean

    >>> convert_units(2, "cups", "ml")
    473.176473

    >>> convert_units(1.5, "Hours", "min")
    90.0

    >>> convert_units(1, "acre", "ft^2")
    43560.0

    >>> convert_units(1, "kWh", "kJ")
    3600.0

    >>> convert_units(0, "K", "F")
    -459.67

    >>> convert_units(-273.15, "celsius", "kelvin")
    0.0

    >>> convert_units(-1, "K", "C")
    Traceback (most recent call last):
    ValueError: -1.0 K is below absolute zero

    >>> convert_units(-5, "fl. oz.", "tbsp")
    -10.0

    >>> convert_units(3, "INCHES", "cm")
    7.62

    >>> convert_units(1, "m²", "sq ft")
    10.763910416709722

    >>> convert_units(1, "tons", "kg")
    Traceback (most recent call last):
    ValueError: 'tons' is ambiguous: a ton may be a 'tonne', a 'short ton' or a 'long ton'

    >>> convert_units(1, "Month", "days")
    Traceback (most recent call last):
    ValueError: 'Month' is ambiguous: a month has no fixed length; use days

    >>> convert_units(1, "kilometr", "m")
    Traceback (most recent call last):
    ValueError: 'kilometr' is not a known unit; did you mean 'kilometre' or 'kilometer' or 'square kilometre'?

    >>> convert_units(1, "furlong", "m")
    Traceback (most recent call last):
    ValueError: 'furlong' is not a known unit

    >>> convert_units(1e308, "ly", "m")
    Traceback (most recent call last):
    ValueError: 1e+308 ly is too large to be given in m

    >>> convert_units(float("inf"), "m", "km")
    Traceback (most recent call last):
    ValueError: the value inf is not a finite number

    >>> convert_units(36, "knots", "KM/H")
    66.672

    >>> convert_units(1, "l", "s")
    Traceback (most recent call last):
    ValueError: 'l' measures volume, but 's' measures time

    >>> convert_units(1, "B", "mph")
    Traceback (most recent call last):
    ValueError: 'B' measures data, but 'mph' measures speed

    >>> convert_units(1, "m2", "J")
    Traceback (most recent call last):
    ValueError: 'm2' measures area, but 'J' measures energy

    >>> convert_units(-40, "Fahrenheit", "C")
    -40.0

    >>> convert_units(1, "K", "C")
    -272.15

    >>> convert_units(1, "h", "sh")
    Traceback (most recent call last):
    ValueError: 'sh' is not a known unit; did you mean 's' or 'h'?

    >>> convert_units(2, " sq. ft. ", "m^2")
    0.18580608

    >>> convert_units(-1, "miles", "km")
    -1.609344

    Tags: units, measures, conversion
    """
    if not math.isfinite(value):
        raise ValueError(f"the value {value} is not a finite number")
    # From the decimal digits: 98.6 means 986/10 exactly.
    amount = Fraction(repr(value))
    source, target = _find(from_unit), _find(to_unit)
    if source[0] != target[0]:
        raise ValueError(f"{from_unit!r} measures {source[0]}, but {to_unit!r} measures {target[0]}")
    if source[0] == "temperature" and amount + source[2] < 0:
        raise ValueError(f"{value} {from_unit} is below absolute zero")
    result = (amount + source[2]) * source[1] / target[1] - target[2]
    try:
        return float(result)
    except OverflowError:
        raise ValueError(f"{value} {from_unit} is too large to be given in {to_unit}") from None


def _find(unit: str) -> tuple[str, Fraction, Fraction]:
    """Return the unit's kind, its size, and (for temperatures) its degrees from absolute zero to 0."""
    wanted = unicodedata.normalize("NFKC", unit).replace("^", "")
    wanted = "_".join(filter(None, re.split(r"[\s._°-]+", wanted)))
    if wanted.casefold().removesuffix("s") in _NO_FIXED_SIZE:
        raise ValueError(f"{unit!r} is ambiguous: {_NO_FIXED_SIZE[wanted.casefold().removesuffix('s')]}")
    known = _known()
    for spelling in (wanted, wanted.removesuffix("s"), wanted.removesuffix("es")):
        if spelling in known:
            return known[spelling]
    for spelling in (wanted, wanted.removesuffix("s"), wanted.removesuffix("S"), wanted.removesuffix("es")):
        alike = {name: size for name, size in known.items() if name.casefold() == spelling.casefold()}
        if len(set(alike.values())) > 1:
            raise ValueError(f"{unit!r} may be {' or '.join(map(repr, alike))}; write the one that you mean")
        if alike:
            return next(iter(alike.values()))
    close = get_close_matches(wanted, known, n=3)
    hint = f"; did you mean {' or '.join(repr(name.replace('_', ' ')) for name in close)}?" if close else ""
    raise ValueError(f"{unit!r} is not a known unit{hint}")


def _known() -> dict[str, tuple[str, Fraction, Fraction]]:
    known: dict[str, tuple[str, Fraction, Fraction]] = {}
    for kind, units in _UNITS.items():
        for entry in units.split(";"):
            size, *names = entry.split()
            over, _, under = size.partition("/")
            known |= dict.fromkeys(names, (kind, Fraction(over) / Fraction(under or 1), Fraction(0)))
    for symbol, (scale, zero, synonyms) in _TEMPERATURES.items():
        known |= dict.fromkeys([symbol, *synonyms.split()], ("temperature", scale, zero))
    return known
