// Memory that is not kept.
#pragma once

namespace gorb::base {

// Empties a string or a vector, with its memory. clear() and "= {}" keep that, and so does the assignment of
// an empty string.
template <class Container>
void give_back(Container& of) {
    Container().swap(of);
}

}  // namespace gorb::base
