#include "io/conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "base/give_back.h"
#include "io/trouble.h"

namespace gorb::io {
namespace {

constexpr size_t buffer_limit = 1 << 20;
constexpr size_t datagram_limit = 65536;
constexpr int reads_a_turn = 16;  // of one connection; the others want to be read too

using Step = TlsSession::Step;

}  // namespace

struct Conn::Impl final : Conn {
    Impl(Loop& l, ConnEvents& e, const ConnOptions& options)
        : loop(l),
          events(e),
          port(options.peer.port),
          tcp(options.transport == Transport::tcp),
          finish(options.finish) {}
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() { release(); }

    // While one stands, a Conn that was closed stays in memory: its own functions are still on the stack.
    class Held {
      public:
        explicit Held(Impl& conn) : conn_(conn) { ++conn.held; }
        Held(const Held&) = delete;
        Held& operator=(const Held&) = delete;
        ~Held() {
            if (--conn_.held == 0 && conn_.dead) delete &conn_;
        }

      private:
        Impl& conn_;
    };

    void release();
    base::Status start(const ConnOptions& options);
    base::Status start_pooled(const ConnOptions& options);
    base::Status start_alone(const ConnOptions& options);
    static void on_edge(void* arg, uint32_t got);
    void on_soon();
    void in_a_moment();
    void connected(uint32_t got);
    bool shake_hands();
    void on_readable();
    bool read_once();
    void hand_over(const uint8_t* data, size_t size);
    void end(int reason);
    void end_soon(int reason);
    void end_broken();
    int send_datagram(const void* data, size_t size);
    int write_some(const void* data, size_t size, size_t& put);
    bool flush();

    Loop& loop;
    ConnEvents& events;
    std::unique_ptr<TlsSession> tls;
    std::string in, out;
    size_t out_at = 0;  // what of `out` has gone
    TimerId deadline = 0, soon = 0;
    std::string_view words;  // what reason() says, when it is not for TLS to say
    int fd = -1;
    int why = 0;                 // it is broken: what closed() will say, after what came before
    SocketPool* pool = nullptr;  // where fd goes back to
    SocketPool::Group* group = nullptr;
    uint64_t turn = 0;  // in which a socket that was used before was begun with
    uint16_t held = 0;
    const uint16_t port;  // of the peer
    const bool tcp, finish;
    bool has_connected = false, open = false, ended_by_peer = false;
    bool last_bytes = false;                    // the kernel has told of an end: read up to it
    bool dead = false;                          // closed
    bool unanswered = false, no_delay = false;  // something was sent and nothing has come since
};

Conn::Impl& Conn::impl() {
    return static_cast<Impl&>(*this);
}
const Conn::Impl& Conn::impl() const {
    return static_cast<const Impl&>(*this);
}

// Gives back all but the memory. No event comes after it.
void Conn::Impl::release() {
    dead = true;
    loop.cancel(std::exchange(deadline, 0));
    loop.cancel(std::exchange(soon, 0));
    if (fd < 0) return;
    if (tls && open && finish) tls->end();
    open = false;
    if (pool) return pool->give({std::exchange(fd, -1), group});
    if (tcp && !ended_by_peer && !finish) reset_on_close(fd);
    loop.close(std::exchange(fd, -1));
}

base::Result<Conn*> Conn::open(Loop& loop, const ConnOptions& options, ConnEvents& events) {
    if (!options.peer.ip) return base::fail(base::Errc::invalid, "a connection needs the address of a peer");
    if (options.way.source.ip && options.way.source.ip.family != options.peer.ip.family) {
        return base::fail(base::Errc::invalid, "source " + options.way.source.ip.text() + " and peer " +
                                                   options.peer.ip.text() + " are of different families");
    }
    auto conn = std::make_unique<Impl>(loop, events, options);
    if (auto started = conn->start(options); !started) return base::fail(std::move(started.error()));
    return conn.release();
}

base::Status Conn::Impl::start(const ConnOptions& options) {
    const bool pooled = options.sockets && tcp && !options.tls && !finish && options.way.source.port == 0;
    if (auto status = pooled ? start_pooled(options) : start_alone(options); !status) return status;
    if (fd < 0 || why != 0) return {};
    if (!tcp) in_a_moment();
    if (options.deadline != 0) {
        deadline = loop.at(options.deadline, [this] {
            deadline = 0;
            if (tls && has_connected && !open) words = "timed out in the TLS handshake";
            end(-ETIMEDOUT);
        });
    }
    return {};
}

base::Status Conn::Impl::start_pooled(const ConnOptions& options) {
    auto begun = options.sockets->connect({options.peer.ip.af(), options.speaks_first, false, options.way},
                                          options.peer, &on_edge, this);
    if (!begun) return base::fail(std::move(begun.error()));
    pool = options.sockets;
    fd = begun->socket.fd;
    group = begun->socket.group;
    turn = loop.turn();
    if (begun->error != 0 && begun->error != EINPROGRESS) end_soon(-begun->error);
    return {};
}

base::Status Conn::Impl::start_alone(const ConnOptions& options) {
    const int type = tcp ? SOCK_STREAM : SOCK_DGRAM;
    auto made = make_socket(options.peer.ip.af(), type, options.way);
    if (!made && made.error().os_error == EMFILE && options.sockets && options.sockets->make_room())
        made = make_socket(options.peer.ip.af(), type, options.way);
    if (!made) return base::fail(std::move(made.error()));
    fd = *made;
    if (options.sockets) options.sockets->made(fd);
    if (options.tls) {
        auto session = TlsSession::make(fd, options.peer.ip, *options.tls);
        if (!session) return base::fail(std::move(session.error()));
        tls = std::move(*session);
    }
    if (!tcp) {
        // Without it the kernel keeps to itself that a router knows no way to the network or the host.
        const int on = 1;
        const bool v4 = options.peer.ip.v4();
        setsockopt(fd, v4 ? SOL_IP : SOL_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, &on, sizeof on);
    }
    if (tcp && (options.speaks_first || options.tls)) {
        // One segment less to make and to take in; where it is not to be had, that is all that is lost.
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof on);
    }
    const SocketAddress peer(options.peer, options.way.scope);
    if (connect(fd, peer.get(), peer.size) != 0 && errno != EINPROGRESS) {
        const int error = errno;
        if (our_trouble_at_once(error))
            return base::fail(socket_error("can not connect to " + options.peer.text(), error));
        end_soon(-error);
        return {};
    }
    return loop.watch_edges(fd, tcp ? EPOLLIN | EPOLLOUT | EPOLLRDHUP : EPOLLIN, &on_edge, this);
}

// Tells the owner, and then there is no Conn any more.
void Conn::Impl::end(int reason) {
    const Held held_here(*this);
    release();
    events.closed(*this, reason);
}

void Conn::Impl::in_a_moment() {
    loop.cancel(soon);
    soon = loop.at(0, [this] {
        soon = 0;
        on_soon();
    });
}

void Conn::Impl::end_soon(int reason) {
    if (why != 0) return;
    why = reason;
    in_a_moment();
}

// Tells of the end, after all that the peer had said before.
void Conn::Impl::end_broken() {
    const Held held_here(*this);
    last_bytes = true;
    const bool reads_on = tcp && open && why != -EPROTO;  // which is TLS that makes no sense any more
    for (int i = 0; reads_on && i < reads_a_turn; ++i) {
        if (!read_once()) break;
    }
    if (!dead) end(why);
}

void Conn::Impl::on_soon() {
    if (why != 0) return end_broken();
    const Held held_here(*this);
    if (!open) {
        if (met_itself(fd, port)) return end(-ECONNREFUSED);
        open = has_connected = true;
        return events.opened(*this);
    }
    on_readable();
}

void Conn::Impl::on_edge(void* arg, uint32_t got) {
    Impl& conn = *static_cast<Impl*>(arg);
    if (conn.pool && conn.turn == conn.loop.turn()) return;  // told of what was before
    if (conn.why != 0) return conn.end_broken();
    const Held held_here(conn);
    conn.last_bytes = conn.last_bytes || (got & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (conn.tcp && !conn.has_connected) return conn.connected(got);
    if (!conn.open && conn.tls && !conn.shake_hands()) return;
    if (!conn.open) return;  // UDP, before its first turn: on_soon() is on its way
    if ((got & EPOLLOUT) != 0 && !conn.flush()) return;
    if ((got & ~uint32_t{EPOLLOUT}) != 0 || conn.tls) conn.on_readable();
}

void Conn::Impl::connected(uint32_t got) {
    if (got & (EPOLLERR | EPOLLHUP)) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        // One that never stood is refused and not reset; what TLS makes of it is no connection yet.
        const bool stood = !tls && (error == ECONNRESET || error == EPIPE);
        if (error != 0 && !stood) return end(-told_later(error));
        if (stood) why = -error;
    }
    if ((got & EPOLLOUT) == 0) return;
    if (met_itself(fd, port)) return end(-ECONNREFUSED);
    has_connected = true;
    if (tls) {
        if (shake_hands()) on_readable();
        return;
    }
    open = true;
    events.opened(*this);
    if (dead) return;
    if (why != 0) return end_broken();
    if (got & (EPOLLIN | EPOLLRDHUP)) on_readable();
}

// True when the connection is open, and still is after its owner was told.
bool Conn::Impl::shake_hands() {
    const Step step = tls->handshake();
    if (step == Step::failed) {
        end(told_later(tls->error()));
        return false;
    }
    if (step != Step::done) return false;
    open = true;
    events.opened(*this);
    return !dead;
}

void Conn::Impl::hand_over(const uint8_t* data, size_t size) {
    const size_t used = events.received(*this, data, size);
    if (dead || !tcp) return;
    const size_t rest = used < size ? size - used : 0;
    if (data == reinterpret_cast<const uint8_t*>(in.data())) {
        in.erase(0, size - rest);
    } else {
        in.assign(reinterpret_cast<const char*>(data) + (size - rest), rest);
    }
    if (in.empty() && in.capacity() > 4096) base::give_back(in);
}

// True when there may be more to read.
bool Conn::Impl::read_once() {
    // Of the thread, and not on the stack: touching the pages of that cost more than all the rest of a read.
    // What is read is handed over before anything else is.
    static thread_local std::array<uint8_t, datagram_limit> buffer;
    size_t size = 0;
    bool more = true;
    if (tls) {
        const Step step = tls->read(buffer.data(), buffer.size(), size);
        if (step == Step::failed) return end(why != 0 ? why : told_later(tls->error())), false;
        if (step == Step::ended) return end(why), false;
        if (step != Step::done) return false;
    } else {
        const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
        if (got < 0 && errno == EINTR) return true;
        if (got < 0) {
            if (errno != EAGAIN) end(why != 0 ? why : -told_later(errno));
            return false;
        }
        size = static_cast<size_t>(got);
        if (size == 0 && tcp) {
            ended_by_peer = true;
            end(why);
            return false;
        }
        // A buffer that was not filled has emptied the socket, and what comes then is a new edge.
        more = !tcp || last_bytes || size == buffer.size();
    }
    unanswered = false;
    if (in.empty()) {
        hand_over(buffer.data(), size);
    } else {
        if (in.size() + size > buffer_limit) {
            words = "more than 1 MiB came and was not consumed";
            return end(-EMSGSIZE), false;
        }
        in.append(reinterpret_cast<const char*>(buffer.data()), size);
        hand_over(reinterpret_cast<const uint8_t*>(in.data()), in.size());
    }
    return more && !dead;
}

void Conn::Impl::on_readable() {
    for (int i = 0; i < reads_a_turn; ++i) {
        if (!read_once()) return;
    }
    in_a_moment();
}

// Bytes that went; 0 as well when there is no room now. A negative errno when the connection is broken.
int Conn::Impl::write_some(const void* data, size_t size, size_t& put) {
    put = 0;
    if (tls) {
        const Step step = tls->write(data, size, put);
        if (step == Step::failed) return told_later(tls->error());
        return step == Step::ended ? -EPIPE : 0;
    }
    const ssize_t sent = ::send(fd, data, size, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR ? 0 : -told_later(errno);
    put = static_cast<size_t>(sent);
    return 0;
}

// 0 or a negative errno.
int Conn::Impl::send_datagram(const void* data, size_t size) {
    if (::send(fd, data, size, MSG_NOSIGNAL) >= 0) return 0;
    const int error = errno;
    if (told_later(error) != EHOSTUNREACH) return -error;
    // What a router said of an earlier datagram, or our own routes, which have changed since connect()? The
    // kernel tells of the former once, and the latter refuse the next attempt as well.
    if (::send(fd, data, size, MSG_NOSIGNAL) >= 0) return -EHOSTUNREACH;
    return error == EHOSTUNREACH ? -ENETUNREACH : -error;
}

// Sends what waits. False: the connection is broken.
bool Conn::Impl::flush() {
    while (out_at < out.size()) {
        size_t put = 0;
        if (const int error = write_some(out.data() + out_at, out.size() - out_at, put); error != 0) {
            end_soon(error);
            return false;
        }
        if (put == 0) return true;
        out_at += put;
    }
    if (!out.empty()) base::give_back(out);
    out_at = 0;
    return true;
}

int Conn::send(const void* data, size_t size) {
    Impl& conn = impl();
    if (!conn.open) return -ENOTCONN;
    if (conn.why != 0) return 0;  // broken already, and closed() is on its way
    if (!conn.tcp) {
        const int error = conn.send_datagram(data, size);
        if (error == 0 || error == -EMSGSIZE) return error;
        if (error == -EAGAIN || error == -ENOBUFS || error == -ENOMEM) return -ENOBUFS;
        conn.end_soon(error);
        return 0;
    }
    if (size > buffer_limit - (conn.out.size() - conn.out_at)) return -ENOBUFS;
    if (conn.unanswered && !conn.no_delay) {
        // A second small piece would wait for the first one's acknowledgement. A question after an answer
        // does not: the answer has brought it.
        const int on = 1;
        setsockopt(conn.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        conn.no_delay = true;
    }
    conn.unanswered = true;
    const auto* bytes = static_cast<const char*>(data);
    size_t sent = 0;
    while (conn.out.empty() && sent < size) {
        size_t put = 0;
        if (const int error = conn.write_some(bytes + sent, size - sent, put); error != 0) {
            conn.end_soon(error);
            return 0;
        }
        if (put == 0) break;
        sent += put;
    }
    // The rest goes when epoll tells of room.
    if (sent < size) conn.out.append(bytes + sent, size - sent);
    return 0;
}

void Conn::close() {
    const Impl::Held held_here(impl());
    impl().release();
}

bool Conn::tls() const {
    return impl().tls != nullptr;
}

const TlsPeer* Conn::tls_peer() {
    Impl& conn = impl();
    return conn.tls && conn.open ? &conn.tls->peer() : nullptr;
}

std::string_view Conn::stage() const {
    const Impl& conn = impl();
    if (conn.open) return "";
    return conn.has_connected ? "in the TLS handshake" : "connecting";
}

std::string_view Conn::reason() const {
    const Impl& conn = impl();
    if (!conn.words.empty() || !conn.tls) return conn.words;
    return conn.tls->words();
}

}  // namespace gorb::io
