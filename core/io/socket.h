// Sockets that leave this machine in a given way, and what went wrong with them in words.
//
// Threads: any.
#pragma once
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "base/address.h"
#include "base/result.h"

namespace gorb::io {

// How a connection leaves this machine.
struct Way {
    base::Endpoint source;  // ip.family none: the kernel chooses
    std::string interface;  // SO_BINDTODEVICE, "": any
    uint32_t fwmark = 0;    // SO_MARK, 0: none
    uint32_t scope = 0;     // interface index for link-local IPv6 addresses

    bool operator==(const Way&) const = default;
};

struct SocketAddress {
    SocketAddress(const base::Endpoint& endpoint, uint32_t scope);
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    sockaddr_storage storage;  // as much of it as `size` says
    socklen_t size = 0;
};

// A non-blocking socket of SOCK_STREAM or SOCK_DGRAM for peers of that family, with mark, device and source
// set. A source without a port is bound without taking one (IP_BIND_ADDRESS_NO_PORT): the port then has to be
// unique for each peer only. Fails with a sentence that names what this machine lacks.
base::Result<int> make_socket(int af, int type, const Way& way);

// "WHAT: no route to that network"; with the errno. Words for the errnos that operators meet, strerror() for
// others.
base::Error socket_error(const std::string& what, int error);

// Is a connection to `port` one of the socket with itself? Where nobody listens on a port of this machine,
// the kernel may choose that very one to connect from, and the handshake then meets itself: the server that
// is down would seem to be up.
bool met_itself(int fd, uint16_t port);

// Makes the next close() reset the TCP connection. {1, 0} and nothing else: with a time above zero close()
// sleeps, on non-blocking sockets too.
void reset_on_close(int fd);

// Raises the soft limit of descriptors to the hard one; what it is now. For the start of a program: a check
// in flight holds one.
uint64_t raise_descriptor_limit();

}  // namespace gorb::io
