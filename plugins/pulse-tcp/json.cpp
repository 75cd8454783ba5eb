// Boost.JSON without its library: its code is compiled here.
#include <boost/json/src.hpp>
