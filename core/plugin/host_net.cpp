// gorb.net/1: connections of an instance, on io::Conn.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>

#include "gorb/sdk/accepts.hpp"
#include "plugin/host.h"
#include "plugin/text.h"

namespace gorb::plugin {

namespace accepts = sdk::accepts;

namespace {

base::Ip ip_of(const gorb_addr& addr) {
    if (addr.family == 4) return base::Ip::from_bytes(AF_INET, addr.ip);
    if (addr.family == 6) return base::Ip::from_bytes(AF_INET6, addr.ip);
    return {};
}

}  // namespace

// What a gorb_conn* points to. The memory stays as long as the instance lives, so a handle that is used after
// its connection has ended finds one without a Conn.
struct Host::Connection final : io::ConnEvents, io::ProbeEvents {
    Host* host = nullptr;
    io::Conn* conn = nullptr;
    io::Probe* probe = nullptr;  // instead of conn, for GORB_CONN_PROBE
    Connection* next_free = nullptr;
    void (*on_opened)(void*, gorb_conn*) = nullptr;
    size_t (*on_received)(void*, gorb_conn*, const uint8_t*, size_t) = nullptr;
    void (*on_closed)(void*, gorb_conn*, int32_t) = nullptr;
    void* arg = nullptr;
    bool probed_open = false;          // a probe that was told to be open, and waits for its owner's close()
    const io::Conn* ending = nullptr;  // while closed() is called

    gorb_conn* handle() { return reinterpret_cast<gorb_conn*>(this); }
    static Connection& of(gorb_conn* conn) { return *reinterpret_cast<Connection*>(conn); }
    bool live() const { return conn || probe || probed_open; }

    void release() {
        conn = nullptr;
        probe = nullptr;
        probed_open = false;
        next_free = nullptr;
        (host->last_free_ ? host->last_free_->next_free : host->first_free_) = this;
        host->last_free_ = this;
    }
    // Without the release.
    void cut() {
        if (conn) std::exchange(conn, nullptr)->close();
        if (probe) host->probes_->cancel(std::exchange(probe, nullptr));
        probed_open = false;
    }
    void close() {
        cut();
        release();
    }
    // After an exception the plugin does not know what it has: nothing more comes of this connection.
    void give_up(const io::Conn* threw) {
        if (conn == threw) close();
    }

    // Only locals are used after the plugin was called: this may be another connection by then.
    void opened(io::Conn& c) override {
        if (!on_opened) return;
        if (!host->call(Doing::connection, [&] { on_opened(arg, handle()); })) give_up(&c);
    }
    size_t received(io::Conn& c, const uint8_t* data, size_t size) override {
        if (!on_received) return size;
        size_t used = 0;
        const bool fine =
            host->call(Doing::connection, [&] { used = on_received(arg, handle(), data, size); });
        if (!fine) give_up(&c);
        return std::min(used, size);
    }
    void closed(io::Conn& c, int why) override {
        conn = nullptr;
        tell_end(&c, why);
    }
    void probed(int why) override {
        probe = nullptr;
        if (why != 0) return tell_end(nullptr, why);
        // The answer is known and the socket is somebody else's already; the handle is the plugin's until it
        // closes it.
        probed_open = true;
        if (!on_opened) return;
        if (!host->call(Doing::connection, [&] { on_opened(arg, handle()); }) && probed_open) close();
    }
    void tell_end(const io::Conn* ended, int why) {
        Host& owner = *host;
        const auto fn = on_closed;
        void* const to = arg;
        // Free only after the call: a connection opened in it must not get the handle that it is told to have
        // lost.
        ending = ended;
        if (fn) owner.call(Doing::connection, [&] { fn(to, handle(), why); });
        ending = nullptr;
        release();
    }
};

const gorb_net Host::net_table = {sizeof(gorb_net), &net_open,     &net_send,
                                  &net_close,       &net_tls_peer, &net_reason};

namespace {

io::TlsOptions tls_of(const gorb_conn_options& options) {
    io::TlsOptions tls;
    tls.verify = (options.flags & GORB_TLS_VERIFY) != 0;
    tls.name = view(options.tls_name);
    tls.alpn = view(options.tls_alpn);
    if (GORB_HAS(gorb_conn_options, &options, tls_ca)) tls.ca = view(options.tls_ca);
    if (GORB_HAS(gorb_conn_options, &options, tls_key)) {
        tls.cert = view(options.tls_cert);
        tls.key = view(options.tls_key);
    }
    return tls;
}

}  // namespace

base::Status Host::open_connection(Connection& connection, const gorb_conn_options& options) {
    const base::Endpoint peer{ip_of(options.peer), options.peer.port};
    io::Way way;
    if (options.source.family != 0) way.source = {ip_of(options.source), options.source.port};
    if (GORB_HAS(gorb_conn_options, &options, interface)) way.interface = view(options.interface);
    way.scope = options.peer.scope;
    way.fwmark = options.fwmark;
    if ((options.flags & GORB_CONN_PROBE) != 0 && way.source.port == 0) {
        if (!probes_) probes_ = std::make_unique<io::ProbePool>(*loop_, loop_->sockets());
        const bool guarded = options.deadline_ns != 0 && options.deadline_ns == guarded_;
        auto probe = probes_->start(peer, way, options.deadline_ns, connection, !guarded);
        if (!probe) return base::fail(std::move(probe.error()));
        connection.probe = *probe;
        return {};
    }
    io::ConnOptions ours;
    ours.transport = options.transport == GORB_UDP ? io::Transport::udp : io::Transport::tcp;
    ours.peer = peer;
    ours.way = std::move(way);
    ours.deadline = options.deadline_ns;
    ours.finish = (options.flags & GORB_CONN_FINISH) != 0;
    ours.speaks_first = (options.flags & GORB_CONN_FIRST) != 0;
    ours.sockets = &loop_->sockets();
    io::TlsOptions tls;
    if (options.transport == GORB_TLS) {
        tls = tls_of(options);
        ours.tls = &tls;
    }
    auto opened = io::Conn::open(*loop_, ours, connection);
    if (!opened) return base::fail(std::move(opened.error()));
    connection.conn = *opened;
    return {};
}

gorb_conn* Host::net_open(const gorb_host* host, const gorb_conn_options* options,
                          const gorb_conn_events* events, void* arg, gorb_error* error) {
    Host& self = of(host);
    const auto refuse = [error](std::string_view why, int code) {
        explain(error, why);
        errno = code;
        return nullptr;
    };
    if (self.refuse_thread("gorb.net/1 open"))
        return refuse("connections are opened on the loop's thread only", EPERM);
    if (const auto wrong = accepts::unreadable(options, events); !wrong.empty()) return refuse(wrong, EINVAL);
    if (const auto wrong = accepts::refusal(*options); !wrong.empty()) return refuse(wrong, EINVAL);

    if (!self.first_free_) {
        Connection& made = *self.connections_.emplace_back(std::make_shared<Connection>());
        made.host = &self;
        made.release();
    }
    Connection& connection = *self.first_free_;
    if (auto opened = self.open_connection(connection, *options); !opened)
        return refuse(opened.error().sentence, opened.error().os_error);
    self.first_free_ = connection.next_free;
    if (!self.first_free_) self.last_free_ = nullptr;
    connection.on_opened = events->opened;
    connection.on_received = events->received;
    connection.on_closed = events->closed;
    connection.arg = arg;
    return connection.handle();
}

int32_t Host::net_send(gorb_conn* conn, const void* data, size_t size) {
    if (!conn || (!data && size > 0)) return -EINVAL;
    Connection& connection = Connection::of(conn);
    if (!connection.live()) return -ENOTCONN;
    if (connection.host->refuse_thread("gorb.net/1 send")) return -EPERM;
    return connection.conn ? connection.conn->send(data, size) : -ENOTCONN;
}

void Host::net_close(gorb_conn* conn) {
    if (!conn) return;
    Connection& connection = Connection::of(conn);
    if (!connection.live()) return;
    if (connection.host->refuse_thread("gorb.net/1 close")) return;
    connection.close();
}

int32_t Host::net_tls_peer(gorb_conn* conn, gorb_tls_peer* out) {
    if (!conn || !out || out->struct_size < accepts::tls_peer) return -EINVAL;
    Connection& connection = Connection::of(conn);
    if (!connection.live()) return -ENOTCONN;
    if (connection.host->refuse_thread("gorb.net/1 tls_peer")) return -EPERM;
    if (!connection.conn || !connection.conn->tls()) return -EINVAL;
    const io::TlsPeer* peer = connection.conn->tls_peer();
    if (!peer) return -ENOTCONN;
    out->verified = peer->verified ? 1 : 0;
    out->not_after = peer->not_after;
    out->alpn = {peer->alpn.data(), peer->alpn.size()};
    out->subject = {peer->subject.data(), peer->subject.size()};
    return 0;
}

gorb_str Host::net_reason(gorb_conn* conn) {
    if (!conn) return {"", 0};
    const Connection& connection = Connection::of(conn);
    const std::string_view words = connection.ending ? connection.ending->reason()
                                   : connection.conn ? connection.conn->stage()
                                                     : "";
    return {words.data(), words.size()};
}

void Host::drop_connections() {
    for (const auto& connection : connections_) connection->cut();
    probes_.reset();
}

}  // namespace gorb::plugin
