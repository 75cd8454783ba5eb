// For LD_PRELOAD: a kernel without IPv6, as with ipv6.disable=1.
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

extern "C" __attribute__((visibility("default"))) int socket(int domain, int type, int protocol) noexcept {
    if (domain != AF_INET6) return static_cast<int>(syscall(SYS_socket, domain, type, protocol));
    errno = EAFNOSUPPORT;
    return -1;
}
