#include "io/conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace gorb::io {
namespace {

constexpr size_t buffer_limit = 1 << 20;
constexpr size_t datagram_limit = 65536;

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress to_socket(const base::Endpoint& endpoint, uint32_t scope) {
    SocketAddress address;
    if (endpoint.ip.v4()) {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_port = htons(endpoint.port);
        std::memcpy(&in.sin_addr, endpoint.ip.bytes.data(), 4);
        address.size = sizeof in;
        std::memcpy(&address.storage, &in, sizeof in);
    } else {
        sockaddr_in6 in6{};
        in6.sin6_family = AF_INET6;
        in6.sin6_port = htons(endpoint.port);
        in6.sin6_scope_id = scope;
        std::memcpy(&in6.sin6_addr, endpoint.ip.bytes.data(), 16);
        address.size = sizeof in6;
        std::memcpy(&address.storage, &in6, sizeof in6);
    }
    return address;
}

base::Error failed(const std::string& what, int error) {
    const auto code = error == EPERM || error == EACCES ? base::Errc::forbidden : base::Errc::io;
    return {code, what + ": " + std::strerror(error), {}, error};
}

// Errors of connect() that are this machine's trouble and say nothing of the peer.
bool ours(int error) {
    switch (error) {
        case EADDRNOTAVAIL:
        case EAGAIN:
        case EPERM:
        case EACCES:
        case ENOBUFS:
        case ENOMEM:
        case EAFNOSUPPORT:
        case EINVAL:
            return true;
        default:
            return false;
    }
}

}  // namespace

struct Conn::Impl {
    Impl(Loop& l, ConnEvents& e, Transport t) : loop(l), events(e), transport(t) {}
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() { release(); }

    // While one stands, a Conn that was closed stays in memory: its own functions are still on the stack.
    class Held {
      public:
        explicit Held(Conn& conn) : conn_(conn) { ++conn.impl_->held; }
        Held(const Held&) = delete;
        Held& operator=(const Held&) = delete;
        ~Held() {
            if (--conn_.impl_->held == 0 && conn_.impl_->dead) delete &conn_;
        }

      private:
        Conn& conn_;
    };

    void release();
    base::Status start(Conn& conn, const ConnOptions& options);
    base::Status watch(uint32_t what);
    void on_events(Conn& conn, uint32_t what);
    void on_open(Conn& conn);
    void on_readable(Conn& conn);
    void hand_over(Conn& conn, const uint8_t* data, size_t size);
    void on_writable();
    void end(Conn& conn, int reason);
    void end_soon(int reason);
    bool flush();

    Loop& loop;
    ConnEvents& events;
    Transport transport;
    int fd = -1;
    uint32_t watched = 0;
    bool open = false, ended_by_peer = false;
    uint32_t sends = 0;
    int why = 0;  // for the `soon` timer: what closed() will say; 0: it calls opened()
    TimerId deadline = 0, soon = 0;
    std::string in, out;
    size_t out_at = 0;  // what of `out` has gone
    unsigned held = 0;
    bool dead = false;  // closed
    Conn* self = nullptr;
};

Conn::Conn(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
    impl_->self = this;
}
Conn::~Conn() = default;

// Gives back all but the memory. No event comes after it.
void Conn::Impl::release() {
    dead = true;
    open = false;
    loop.cancel(std::exchange(deadline, 0));
    loop.cancel(std::exchange(soon, 0));
    if (fd < 0) return;
    (void)watch(0);
    if (transport == Transport::tcp && !ended_by_peer) {
        // {1, 0} and nothing else: with a time above zero close() sleeps, on non-blocking sockets too.
        const linger reset{1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    ::close(std::exchange(fd, -1));
}

base::Result<Conn*> Conn::open(Loop& loop, const ConnOptions& options, ConnEvents& events) {
    if (!options.peer.ip) return base::fail(base::Errc::invalid, "a connection needs the address of a peer");
    if (options.source.ip && options.source.ip.family != options.peer.ip.family) {
        return base::fail(base::Errc::invalid, "source " + options.source.ip.text() + " and peer " +
                                                   options.peer.ip.text() + " are of different families");
    }
    // Not make_unique: both are private.
    std::unique_ptr<Impl> impl(new Impl(loop, events, options.transport));
    Conn* conn = new Conn(std::move(impl));
    if (auto started = conn->impl_->start(*conn, options); !started) {
        delete conn;
        return base::fail(std::move(started.error()));
    }
    return conn;
}

base::Status Conn::Impl::start(Conn& conn, const ConnOptions& options) {
    const bool tcp = transport == Transport::tcp;
    fd = socket(options.peer.ip.af(), (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return base::fail(failed("can not make a socket", errno));
    if (options.fwmark != 0 &&
        setsockopt(fd, SOL_SOCKET, SO_MARK, &options.fwmark, sizeof options.fwmark) != 0) {
        return base::fail(failed("can not set fwmark " + std::to_string(options.fwmark), errno));
    }
    if (options.source.ip) {
        const int on = 1;
        // Without it bind() takes a port for all peers at once, and a port range is used up soon.
        if (options.source.port == 0) {
            setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        } else {
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        }
        const auto source = to_socket(options.source, options.scope);
        if (bind(fd, source.get(), source.size) != 0) {
            return base::fail(failed("can not use source address " + options.source.text(), errno));
        }
    }
    const auto peer = to_socket(options.peer, options.scope);
    if (connect(fd, peer.get(), peer.size) != 0 && errno != EINPROGRESS) {
        const int error = errno;
        if (ours(error)) return base::fail(failed("can not connect to " + options.peer.text(), error));
        end_soon(-error);
        return {};
    }
    if (tcp) {
        if (auto status = watch(writable); !status) return status;
    } else {
        if (auto status = watch(readable); !status) return status;
        soon = loop.at(0, [&conn] {
            conn.impl_->soon = 0;
            conn.impl_->on_open(conn);
        });
    }
    if (options.deadline != 0) {
        deadline = loop.at(options.deadline, [&conn] {
            conn.impl_->deadline = 0;
            conn.impl_->end(conn, -ETIMEDOUT);
        });
    }
    return {};
}

base::Status Conn::Impl::watch(uint32_t what) {
    if (what == watched) return {};
    auto status = loop.watch(fd, what, [conn = self](uint32_t got) { conn->impl_->on_events(*conn, got); });
    if (status) watched = what;
    return status;
}

// Tells the owner, and then there is no Conn any more.
void Conn::Impl::end(Conn& conn, int reason) {
    const Held held_here(conn);
    release();
    events.closed(conn, reason);
}

void Conn::Impl::end_soon(int reason) {
    if (why != 0) return;
    why = reason;
    loop.cancel(soon);
    soon = loop.at(0, [conn = self] {
        conn->impl_->soon = 0;
        conn->impl_->end(*conn, conn->impl_->why);
    });
}

void Conn::Impl::on_open(Conn& conn) {
    open = true;
    events.opened(conn);
}

void Conn::Impl::on_events(Conn& conn, uint32_t what) {
    if (why != 0) return end(conn, why);
    const Held held_here(conn);
    if (!open) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) return end(conn, -error);
        if (auto status = watch(readable); !status) return end(conn, -status.error().os_error);
        return on_open(conn);
    }
    if (what & writable) on_writable();
    if (!dead && what & readable) on_readable(conn);
}

void Conn::Impl::hand_over(Conn& conn, const uint8_t* data, size_t size) {
    const size_t used = events.received(conn, data, size);
    if (dead || transport == Transport::udp) return;
    const size_t rest = used < size ? size - used : 0;
    if (data == reinterpret_cast<const uint8_t*>(in.data())) {
        in.erase(0, size - rest);
    } else {
        in.assign(reinterpret_cast<const char*>(data) + (size - rest), rest);
    }
}

void Conn::Impl::on_readable(Conn& conn) {
    std::array<uint8_t, datagram_limit> buffer;
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR) end(conn, -errno);
        return;
    }
    const auto size = static_cast<size_t>(got);
    if (size == 0 && transport == Transport::tcp) {
        ended_by_peer = true;
        return end(conn, 0);
    }
    if (in.empty()) return hand_over(conn, buffer.data(), size);
    if (in.size() + size > buffer_limit) return end(conn, -ENOBUFS);
    in.append(reinterpret_cast<const char*>(buffer.data()), size);
    hand_over(conn, reinterpret_cast<const uint8_t*>(in.data()), in.size());
}

// Sends what waits. False: the connection is broken.
bool Conn::Impl::flush() {
    while (out_at < out.size()) {
        const ssize_t sent = ::send(fd, out.data() + out_at, out.size() - out_at, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN) break;
            if (errno == EINTR) continue;
            end_soon(-errno);
            return false;
        }
        out_at += static_cast<size_t>(sent);
    }
    if (out_at == out.size()) {
        out.clear();
        out_at = 0;
    }
    return true;
}

void Conn::Impl::on_writable() {
    if (!flush()) {
        (void)watch(0);
    } else if (out.empty()) {
        (void)watch(readable);
    }
}

int Conn::send(const void* data, size_t size) {
    Impl& impl = *impl_;
    if (!impl.open) return -ENOTCONN;
    if (impl.why != 0) return 0;  // broken already, and closed() is on its way
    if (impl.transport == Transport::udp) {
        if (::send(impl.fd, data, size, MSG_NOSIGNAL) >= 0) return 0;
        if (errno == EMSGSIZE) return -EMSGSIZE;
        if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) return -ENOBUFS;
        impl.end_soon(-errno);
        return 0;
    }
    if (size > buffer_limit - (impl.out.size() - impl.out_at)) return -ENOBUFS;
    if (++impl.sends == 2) {
        // A second small piece would wait for the first one's acknowledgement.
        const int on = 1;
        setsockopt(impl.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    const bool idle = impl.out.empty();
    size_t sent = 0;
    if (idle && size > 0) {
        const ssize_t now = ::send(impl.fd, data, size, MSG_NOSIGNAL);
        if (now < 0 && errno != EAGAIN && errno != EINTR) {
            impl.end_soon(-errno);
            return 0;
        }
        sent = now < 0 ? 0 : static_cast<size_t>(now);
    }
    if (sent < size) {
        impl.out.append(static_cast<const char*>(data) + sent, size - sent);
        (void)impl.watch(readable | writable);
    }
    return 0;
}

void Conn::close() {
    const Impl::Held held_here(*this);
    impl_->release();
}

}  // namespace gorb::io
