"""A country's files as whoever moves in has them: read, made a recipe of, and gone on with."""

from charter.country.importing import Brought, Imported, find_brought, import_country
from charter.country.reading import Country, read_country

__all__ = ["Brought", "Country", "Imported", "find_brought", "import_country", "read_country"]
