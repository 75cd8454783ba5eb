// How threads share the work of a queue of which one thread at a time may do some: store::Database::work().
#pragma once
#include <mutex>

namespace gorb::store {

// `some` does something of what is queued and says whether there was anything. false: there is nothing, or
// another thread is at it, which looks again. For who gives something and finds another at it goes away, and
// that one may have looked already: so it does once more, with `queued`, when it is at it no longer.
// `queued` takes the lock under which things are given.
template <class Some, class Queued>
bool work_alone(std::mutex& working, const Some& some, const Queued& queued) {
    do {
        const std::unique_lock at_it(working, std::try_to_lock);
        if (!at_it) return false;
        if (some()) return true;
    } while (queued());
    return false;
}

}  // namespace gorb::store
