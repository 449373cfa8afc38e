"""Names that a user chose, as names in C: changed where C, its headers or the emitted text give them a meaning.

A name is changed by an underscore at its end, and so is one that ends like a changed one: no two become the same.
"""

from __future__ import annotations

import re

_WORDS = re.compile(
    r"auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|inline|int|long|"
    r"register|restrict|return|short|signed|sizeof|static|struct|switch|typedef|union|unsigned|void|volatile|"
    r"while|asm|typeof|bool|true|false|nullptr|constexpr|alignas|alignof|static_assert|thread_local|"
    r"typeof_unqual|class|new|delete|this|template|namespace|using|public|private|protected|virtual|operator|"
    r"friend|try|catch|throw|and|or|not|xor|bitand|bitor|compl|and_eq|or_eq|xor_eq|not_eq|mutable|explicit|"
    r"export|typeid|typename|decltype|noexcept|concept|requires|wchar_t|char8_t|char16_t|char32_t|const_cast|"
    r"dynamic_cast|reinterpret_cast|static_cast|consteval|constinit|co_await|co_return|co_yield"
)
"""Words of C, C++ and GNU C."""

_MACROS = re.compile(
    r"_[A-Z_]\w*|IRK_\w*|linux|unix|NULL|EOF|BUFSIZ|NAN|INFINITY|HUGE_VAL[FL]?|offsetof|assert|errno|stdin|stdout|stderr|"
    r"(U?INT(8|16|32|64|MAX|PTR|_(FAST|LEAST)\d+)?|SIZE|PTRDIFF|WCHAR|WINT|SIG_ATOMIC|U?S?CHAR|U?SHRT|U?L?LONG|RAND|FOPEN|"
    r"FILENAME|TMP)_(MAX|MIN|C|WIDTH|BIT)|M_(E|LOG2E|LOG10E|LN2|LN10|PI|PI_2|PI_4|1_PI|2_PI|2_SQRTPI|SQRT2|SQRT1_2)|"
    r"(FP|CLOCK|PTHREAD|SCHED|EXIT|SEEK|MATH)_[A-Z]\w*|(BIG|LITTLE|PDP)_ENDIAN|BYTE_ORDER|[FRWX]_OK|F_(U?LOCK|TEST|TLOCK)|"
    r"L_(SET|INCR|XTND|ctermid|tmpnam)|P_tmpdir|STD(IN|OUT|ERR)_FILENO|FD_SETSIZE|NFDBITS|CLOCKS_PER_SEC|MB_CUR_MAX|"
    r"TIMER_ABSTIME|TIME_UTC|W(NOHANG|UNTRACED|STOPPED|EXITED|CONTINUED|NOWAIT)|math_errhandling|sched_priority"
)
"""Macros of the headers that programs and their callers include, and names that C leaves to the compiler."""

_OURS = re.compile(
    r"tid|nthreads|team|scratch|team_mem|arena|prepared|args|main|context|lanes|r\d*|p|l|c|memcpy|size_t|u?int\d+_t|irk_\w*|k_\w*"
)
"""Variables, types and functions that the emitted text uses itself."""


def kernel_name(symbol: str) -> str:
    """The C name of a kernel: it must not be one of the C library's, as `index` is."""
    return "k_" + re.sub(r"\W", "_", symbol)


def c_field(name: str) -> str:
    """The field of the argument struct for an argument or a symbol."""
    return f"{name}_" if _taken(name, _WORDS, _MACROS) else name


def c_local(name: str) -> str:
    """A variable of the emitted functions for a dim, an axis or an array."""
    return f"{name}_" if _taken(name, _WORDS, _MACROS, _OURS) else name


def _taken(name: str, *meanings: re.Pattern[str]) -> bool:
    return any(meaning.fullmatch(name.rstrip("_")) for meaning in meanings)
