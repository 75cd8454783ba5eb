// Result<T>: a value, or the Error that says why there is none.
//
// For everything that the outside can cause: a user, the network, the kernel, a plugin, the disk. What can
// not happen is an assert (base/check.h). Exceptions of libraries are caught where the library is called.
#pragma once
#include <string>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace gorb::base {

// What kind of failure it is, for code that has to react to it. rest maps each to one HTTP status.
enum class Errc {
    invalid,      // the request is wrong in itself
    not_found,    // no such object
    exists,       // the object, or one with the same key, is there already
    stale,        // the precondition (If-Match) names another revision
    too_large,    // more than a limit allows
    unsupported,  // the kernel or this build does not have it (a scheduler, a pulse type)
    forbidden,    // a capability is missing
    unavailable,  // something needed is not there now (a kernel module, a full queue, a shutdown)
    no_space,     // the disk is full
    refused,      // the kernel said no for another reason
    timeout,      // no answer in time
    io,           // a system call failed
    internal      // a defect of ours
};

// One wrong field of a document, as RFC 6901 points to it: {"/pulse/interval", "must be a duration such as
// \"5s\""}.
struct Fault {
    std::string pointer;
    std::string what;
    bool operator==(const Fault&) const = default;
};

struct Error {
    Errc code = Errc::internal;
    std::string sentence;       // for people: what failed, and what would be right
    std::vector<Fault> faults;  // where single fields or objects of a document are at fault
    int os_error = 0;           // errno of the system call or the kernel's answer, 0 for none
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> fail(Errc code, std::string sentence, int os_error = 0) {
    return tl::unexpected<Error>(Error{code, std::move(sentence), {}, os_error});
}
inline tl::unexpected<Error> fail(Error error) {
    return tl::unexpected<Error>(std::move(error));
}

}  // namespace gorb::base
