# Opens libraries: extension modules, a library that is there, one that is not.
import ctypes, json, sqlite3
import _ctypes

print(json.dumps({"sqlite": sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()}))
library = ctypes.CDLL("libm.so.6", ctypes.RTLD_GLOBAL)
print(hasattr(library, "cos"), hasattr(library, "no_such_function"))
other = ctypes.CDLL("libbz2.so.1.0")
_ctypes.dlclose(other._handle)
try:
    ctypes.CDLL("libnowhere.so")
except OSError as error:
    print(str(error).splitlines()[0])
