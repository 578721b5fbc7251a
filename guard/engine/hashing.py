"""The hashes of ``guard.hashing``, by their first name."""

from guard.hashing import BASE as BASE
from guard.hashing import Hashes as Hashes
from guard.hashing import Int64Array as Int64Array
from guard.hashing import finish as finish
from guard.hashing import powers as powers
from guard.hashing import salts as salts
from guard.hashing import symbol_values as symbol_values
