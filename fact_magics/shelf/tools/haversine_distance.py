# kind: geography
# aliases: haversine, great_circle_distance, geo_distance, distance_km, gps_distance,
#   distance_between_coordinates, distance_on_earth, earth_distance
# needs: distance, haversine, great+circle, far, kilometer, kilometers, kilometre, km, apart
# needs: haversine, latitude, longitude, latitudes, longitudes, coordinates, gps, earth, great+circle,
#   geographic, lat, lon, geographical, globe
# unlike: driving, travel, route, address, manhattan, euclidean, cosine, sort, nearest, fastest, bearing,
#   distance between two string, distance matrix, walking, from the earth to, moon, total distance
# words: compute, calculate, between, two, points, point, places, locations, positions, coordinates,
#   coordinate, pairs, pair, latitude, longitude, latitudes, longitudes, lat, lon, lng, great, circle,
#   haversine, formula, earth, kilometers, kilometres, km, gps, sphere, surface, on, how, far, apart, given,
#   by, from, degrees, geographic, geographical, globe, spherical, find, as, crow, flies, their, straight,
#   cities, decimal, distances, are, get, airports, along

import math


def haversine_distance(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Compute the great-circle distance in kilometres between two points on Earth, by the haversine formula.

    The Earth is taken as a sphere with a radius of 6371.0088 km, so the result may be wrong by 0.5 %.

    Parameters
    ----------
    lat1, lon1 : float
        Latitude and longitude of the first point in decimal degrees; south and west are negative.
    lat2, lon2 : float
        The same for the second point.

    Returns
    -------
    float
        The distance along the surface, in kilometres.

    Raises
    ------
    ValueError
        If a latitude is not from -90 to 90, or a longitude not from -180 to 180.

    Examples
    --------
    >>> haversine_distance(52.52, 13.405, 48.8566, 2.3522)
    877.4645379215092

    >>> haversine_distance(-33.8688, 151.2093, 40.7128, -74.006)
    15988.777591649341

    >>> haversine_distance(90, 0, -90, 180)
    20015.114442035923

    >>> haversine_distance(0, -180, 1, 180)
    111.1950802335329

    >>> haversine_distance(0, 0, 0, 0)
    0.0

    >>> haversine_distance(90.5, 0, 0, 0)
    Traceback (most recent call last):
    ValueError: a latitude must be from -90 to 90, not 90.5

    >>> haversine_distance(0, 0, -91, 0)
    Traceback (most recent call last):
    ValueError: a latitude must be from -90 to 90, not -91

    >>> haversine_distance(0, 181, 0, 0)
    Traceback (most recent call last):
    ValueError: a longitude must be from -180 to 180, not 181

    >>> haversine_distance(0, 0, 0, -180.5)
    Traceback (most recent call last):
    ValueError: a longitude must be from -180 to 180, not -180.5

    Tags: geography, distance, coordinates
    """
    for latitude in (lat1, lat2):
        if not -90 <= latitude <= 90:
            raise ValueError(f"a latitude must be from -90 to 90, not {latitude:g}")
    for longitude in (lon1, lon2):
        if not -180 <= longitude <= 180:
            raise ValueError(f"a longitude must be from -180 to 180, not {longitude:g}")
    north, east = math.radians(lat2 - lat1), math.radians(lon2 - lon1)
    across = math.cos(math.radians(lat1)) * math.cos(math.radians(lat2)) * math.sin(east / 2) ** 2
    # Rounding may give a little more than 1 for opposite points.
    return 2 * 6371.0088 * math.asin(min(1.0, math.sqrt(math.sin(north / 2) ** 2 + across)))
