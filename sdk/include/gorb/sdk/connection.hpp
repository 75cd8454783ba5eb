// A host-owned connection (gorb.net/1), closed by the destructor.
//
// Part of gorb/plugin.hpp. Threads: [loop].
#ifndef GORB_SDK_CONNECTION_HPP
#define GORB_SDK_CONNECTION_HPP
#include <gorb/sdk/host.hpp>

#include <cerrno>
#include <optional>
#include <string>

namespace gorb::sdk {

// What happens to a connection. An exception in opened() or received() closes the connection: it goes to the
// log, and closed() is called with -ECANCELED, while Connection::reason() is what was thrown. Where no
// closed() can follow, failed() is called.
class ConnectionEvents {
  public:
    virtual void opened() = 0;
    // Returns how many bytes were consumed; the rest comes again in front of what follows.
    virtual size_t received(std::string_view bytes) = 0;
    // The last event, once: 0 = the other side ended the stream, otherwise a negative errno. The connection
    // may be opened again from here.
    virtual void closed(int32_t why) = 0;
    // What was thrown by closed(), or after the connection was closed from within: the work that was to be
    // done may be half done. Not called where closed() has destroyed its Connection.
    virtual void failed(std::string_view what) noexcept { static_cast<void>(what); }

  protected:
    ~ConnectionEvents() = default;
};

class Connection {
  public:
    struct Options {
        uint32_t transport = GORB_TCP;
        gorb_addr peer{};
        gorb_addr source{};        // family 0: the kernel chooses
        uint32_t fwmark = 0;       // 0: none
        uint32_t flags = 0;        // GORB_TLS_VERIFY, GORB_CONN_PROBE, GORB_CONN_FINISH, GORB_CONN_FIRST
        uint64_t deadline_ns = 0;  // 0: none; afterwards closed(-ETIMEDOUT)
        std::string interface;     // device to go out by, "" for any
        // Of GORB_TLS. The files are PEM and read by the host; "" means the system's CAs, no client
        // certificate.
        std::string tls_name, tls_alpn, tls_ca, tls_cert, tls_key;
    };
    // What the other side of a TLS connection showed of itself.
    struct Peer {
        bool verified = false;
        int64_t not_after = 0;  // Unix seconds
        std::string alpn, subject;
    };

    // `events` must outlive this connection.
    Connection(const Host& host, ConnectionEvents& events) : host_(host), net_(host.net()), events_(events) {}
    ~Connection() {
        close();
        if (gone_) *gone_ = true;
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Drops the connection that is open, if any. Throws Error when our own side can not open one (no
    // descriptor ...); what the peer does comes through closed(). No event comes before this has returned.
    void open(const Options& options) {
        close();
        reason_ = {};
        static constexpr gorb_conn_events events = {sizeof(gorb_conn_events), &Connection::on_opened,
                                                    &Connection::on_received, &Connection::on_closed};
        gorb_conn_options raw{};
        raw.struct_size = sizeof raw;
        raw.transport = options.transport;
        raw.peer = options.peer;
        raw.source = options.source;
        raw.fwmark = options.fwmark;
        raw.flags = options.flags;
        raw.deadline_ns = options.deadline_ns;
        raw.interface = str(options.interface);
        raw.tls_name = str(options.tls_name);
        raw.tls_alpn = str(options.tls_alpn);
        raw.tls_ca = str(options.tls_ca);
        raw.tls_cert = str(options.tls_cert);
        raw.tls_key = str(options.tls_key);
        gorb_error why{};
        errno = 0;
        conn_ = net_.open(host_.c(), &raw, &events, this, &why);
        if (conn_) return;
        if (const int err = errno; why.text[0]) throw Error(why.text, err);
        throw Error("the host opens no connection", EAGAIN);
    }
    // Copied, sent in order. 0 or a negative errno.
    int32_t send(std::string_view bytes) noexcept {
        return conn_ ? net_.send(conn_, bytes.data(), bytes.size()) : -ENOTCONN;
    }
    // No event follows. May be called from within an event.
    void close() noexcept {
        if (conn_) net_.close(std::exchange(conn_, nullptr));
    }
    bool is_open() const noexcept { return conn_ != nullptr; }
    // Of a TLS connection that has opened; nullopt otherwise, or where the host is older than 1.1.
    std::optional<Peer> peer() const {
        if (!conn_ || !GORB_HAS(gorb_net, &net_, tls_peer)) return std::nullopt;
        gorb_tls_peer raw{};
        raw.struct_size = sizeof raw;
        if (net_.tls_peer(conn_, &raw) != 0) return std::nullopt;
        return Peer{raw.verified != 0, raw.not_after, std::string(view(raw.alpn)),
                    std::string(view(raw.subject))};
    }
    // Within closed(): why, in words, where the errno says too little. Before opened(), where the host tells:
    // how far it has come, "connecting" or "in the TLS handshake". Else empty.
    std::string_view reason() const noexcept {
        if (!conn_ || !GORB_HAS(gorb_net, &net_, reason)) return reason_;
        return view(net_.reason(conn_));
    }

  private:
    static void on_opened(void* arg, gorb_conn*) noexcept {
        auto* self = static_cast<Connection*>(arg);
        const Host& host = self->host_;
        gorb_error words{};
        if (!host.guarded(
                "opened", [&] { self->events_.opened(); }, &words))
            self->give_up(words.text);
    }
    static size_t on_received(void* arg, gorb_conn*, const uint8_t* data, size_t len) noexcept {
        auto* self = static_cast<Connection*>(arg);
        const Host& host = self->host_;
        size_t consumed = len;
        auto read = [&] { consumed = self->events_.received({reinterpret_cast<const char*>(data), len}); };
        gorb_error words{};
        if (!host.guarded("received", read, &words)) self->give_up(words.text);
        return std::min(consumed, len);
    }
    static void on_closed(void* arg, gorb_conn* conn, int32_t why) noexcept {
        auto* self = static_cast<Connection*>(arg);
        self->conn_ = nullptr;
        self->tell_closed(why, GORB_HAS(gorb_net, &self->net_, reason) ? view(self->net_.reason(conn)) : "");
    }
    void give_up(const char* words) noexcept {
        if (!conn_) return events_.failed(words);
        close();
        tell_closed(-ECANCELED, words);
    }
    // The last thing done to this object by who calls it: closed() may destroy it.
    void tell_closed(int32_t why, std::string_view reason) noexcept {
        bool gone = false;
        gone_ = &gone;
        reason_ = reason;
        gorb_error words{};
        const bool fine = host_.guarded(
            "closed", [&] { events_.closed(why); }, &words);
        if (gone) return;
        gone_ = nullptr;
        if (!fine) events_.failed(words.text);
    }

    const Host& host_;
    const gorb_net& net_;
    ConnectionEvents& events_;
    gorb_conn* conn_ = nullptr;
    std::string_view reason_;  // lent for the call of closed(); cleared by open()
    bool* gone_ = nullptr;     // while closed() is being called: where the destructor says so
};

}  // namespace gorb::sdk
#endif  // GORB_SDK_CONNECTION_HPP
