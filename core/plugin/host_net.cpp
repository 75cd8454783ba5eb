// gorb.net/1: connections of an instance, on io::Conn.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>

#include "plugin/host.h"
#include "plugin/text.h"

namespace gorb::plugin {
namespace {

base::Ip ip_of(const gorb_addr& addr) {
    if (addr.family == 4) return base::Ip::from_bytes(AF_INET, addr.ip);
    if (addr.family == 6) return base::Ip::from_bytes(AF_INET6, addr.ip);
    return {};
}

bool good_family(const gorb_addr& addr) {
    return addr.family == 0 || addr.family == 4 || addr.family == 6;
}

}  // namespace

// What a gorb_conn* points to. The memory stays as long as the instance lives, so a handle that is used after
// its connection has ended finds one without a Conn.
struct Host::Connection final : io::ConnEvents {
    Host* host = nullptr;
    io::Conn* conn = nullptr;
    void (*on_opened)(void*, gorb_conn*) = nullptr;
    size_t (*on_received)(void*, gorb_conn*, const uint8_t*, size_t) = nullptr;
    void (*on_closed)(void*, gorb_conn*, int32_t) = nullptr;
    void* arg = nullptr;

    gorb_conn* handle() { return reinterpret_cast<gorb_conn*>(this); }
    void release() {
        conn = nullptr;
        host->free_connections_.push_back(this);
    }
    void close() {
        std::exchange(conn, nullptr)->close();
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
    void closed(io::Conn&, int why) override {
        Host& owner = *host;
        const auto fn = on_closed;
        void* const to = arg;
        // Free only after the call: a connection opened in it must not get the handle that it is told to have
        // lost.
        conn = nullptr;
        if (fn) owner.call(Doing::connection, [&] { fn(to, handle(), why); });
        release();
    }
};

const gorb_net Host::net_table = {sizeof(gorb_net), &net_open, &net_send, &net_close};

gorb_conn* Host::net_open(const gorb_host* host, const gorb_conn_options* options,
                          const gorb_conn_events* events, void* arg, gorb_error* error) {
    Host& self = of(host);
    const auto refuse = [error](std::string_view why) {
        explain(error, why);
        return nullptr;
    };
    if (self.refuse_thread("gorb.net/1 open"))
        return refuse("connections are opened on the loop's thread only");
    constexpr size_t options_size = offsetof(gorb_conn_options, deadline_ns) + sizeof(uint64_t);
    constexpr size_t events_size = offsetof(gorb_conn_events, closed) + sizeof(gorb_conn_events::closed);
    if (!options || options->struct_size < options_size)
        return refuse("gorb_conn_options is too small: is struct_size set?");
    if (!events || events->struct_size < events_size)
        return refuse("gorb_conn_events is too small: is struct_size set?");
    if (options->transport == GORB_TLS) return refuse("TLS comes later: this gorbd opens TCP and UDP only");
    if (options->transport != GORB_TCP && options->transport != GORB_UDP) {
        return refuse("transport " + std::to_string(options->transport) + " is unknown");
    }
    if (!good_family(options->peer) || !good_family(options->source))
        return refuse("an address is of no known family");

    io::ConnOptions ours;
    ours.transport = options->transport == GORB_TCP ? io::Transport::tcp : io::Transport::udp;
    ours.peer = {ip_of(options->peer), options->peer.port};
    ours.source = {ip_of(options->source), options->source.port};
    ours.scope = options->peer.scope;
    ours.fwmark = options->fwmark;
    ours.deadline = options->deadline_ns;

    if (self.free_connections_.empty()) {
        self.free_connections_.push_back(
            self.connections_.emplace_back(std::make_shared<Connection>()).get());
    }
    Connection& connection = *self.free_connections_.front();
    auto opened = io::Conn::open(*self.loop_, ours, connection);
    if (!opened) return refuse(opened.error().sentence);
    self.free_connections_.pop_front();
    connection.host = &self;
    connection.conn = *opened;
    connection.on_opened = events->opened;
    connection.on_received = events->received;
    connection.on_closed = events->closed;
    connection.arg = arg;
    return connection.handle();
}

int32_t Host::net_send(gorb_conn* conn, const void* data, size_t size) {
    if (!conn || (!data && size > 0)) return -EINVAL;
    Connection& connection = *reinterpret_cast<Connection*>(conn);
    if (!connection.conn) return -ENOTCONN;
    if (connection.host->refuse_thread("gorb.net/1 send")) return -EPERM;
    return connection.conn->send(data, size);
}

void Host::net_close(gorb_conn* conn) {
    if (!conn) return;
    Connection& connection = *reinterpret_cast<Connection*>(conn);
    if (!connection.conn) return;
    if (connection.host->refuse_thread("gorb.net/1 close")) return;
    connection.close();
}

void Host::drop_connections() {
    for (const auto& connection : connections_) {
        if (connection->conn) connection->conn->close();
        connection->conn = nullptr;
    }
}

}  // namespace gorb::plugin
