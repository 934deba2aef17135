// What a shared library of pawl gives away: PAWL_API before a name makes it part of the interface; everything else
// stays inside, since pawl is compiled with hidden visibility.
//
// A class that users derive from or throw around needs PAWL_API as well, so that all libraries of a program agree on
// its type information. PAWL_LOCAL takes a nested type (an `Impl`) out again. Not for templates and functions that
// are defined in a header: who uses them compiles them.
#pragma once

#if defined(__GNUC__)
#define PAWL_API __attribute__((visibility("default")))
#define PAWL_LOCAL __attribute__((visibility("hidden")))
#else
#define PAWL_API
#define PAWL_LOCAL
#endif
