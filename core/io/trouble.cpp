#include "io/trouble.h"

#include <cerrno>

namespace gorb::io {

bool our_trouble(int error) {
    switch (error < 0 ? -error : error) {
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
        case EADDRNOTAVAIL:
        case EADDRINUSE:
        case EAGAIN:
        case EPERM:
        case EACCES:
        case EAFNOSUPPORT:
        case EPROTONOSUPPORT:
        case EINVAL:
        case ENOTSUP:
        case ECANCELED:
        case ENETUNREACH:
        case ENETDOWN:
        case ENODEV:
        case ENXIO:
        case ENOENT:
        case ENOSYS:
            return true;
        default:
            return false;
    }
}

bool our_trouble_at_once(int error) {
    return our_trouble(error) || error == EHOSTUNREACH || error == -EHOSTUNREACH;
}

int told_later(int error) {
    if (error == ENETUNREACH || error == EACCES) return EHOSTUNREACH;
    if (error == -ENETUNREACH || error == -EACCES) return -EHOSTUNREACH;
    return error;
}

}  // namespace gorb::io
