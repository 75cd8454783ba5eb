// Real non-blocking client connections for tests, as gorb.net/1 describes them: TCP, connected UDP and TLS.
//
// Part of gorb/testing.hpp. A connection with GORB_CONN_PROBE is opened as any other here. Threads: the
// loop's.
#ifndef GORB_TESTING_NET_HPP
#define GORB_TESTING_NET_HPP
#include <net/if.h>
#include <gorb/sdk/values.hpp>
#include <gorb/testing/loop.hpp>
#include <gorb/testing/tls.hpp>

#include <string>

namespace gorb::testing {

// Faults that a test orders for connections.
struct ConnFaults {
    // An errno for connect() to end with; 0 for what really happens. Of our own trouble open() tells, all
    // else comes by closed().
    int connect = 0;
    std::string tls;       // not empty: handshakes end with -EPROTO and these words
    bool stalled = false;  // a TLS handshake is begun and never ends
};

class FakeConn : public std::enable_shared_from_this<FakeConn> {
  public:
    // How the host calls into the plugin: `what` names the callback, `fn` makes the call. The host measures
    // it.
    using Calls = std::function<void(const char* what, const std::function<void()>& fn)>;
    // The connection is over; what its closed() may say of it in words.
    using Gone = std::function<void(const std::string& reason)>;

    // What a plugin of an older SDK did not send is empty. A callback that is missing is not called.
    FakeConn(FakeLoop& loop, gorb_conn* handle, const gorb_conn_options& options,
             const gorb_conn_events& events, void* arg, Calls calls, Gone gone)
        : loop_(loop),
          handle_(handle),
          events_(events),
          arg_(arg),
          calls_(std::move(calls)),
          gone_(std::move(gone)) {
        std::memcpy(&options_, &options, std::min<size_t>(options.struct_size, sizeof options_));
        tcp_ = options_.transport != GORB_UDP;
        interface_ = sdk::view(options_.interface);
        tls_options_ = {(options_.flags & GORB_TLS_VERIFY) != 0,
                        std::string(sdk::view(options_.tls_name)),
                        std::string(sdk::view(options_.tls_alpn)),
                        std::string(sdk::view(options_.tls_ca)),
                        std::string(sdk::view(options_.tls_cert)),
                        std::string(sdk::view(options_.tls_key)),
                        options_.peer};
    }
    ~FakeConn() { release(); }
    FakeConn(const FakeConn&) = delete;
    FakeConn& operator=(const FakeConn&) = delete;

    // Trouble of our own; no words for none. What the peer does comes later, through closed().
    struct Trouble {
        std::string words;
        int error = 0;  // 0 for none
    };
    Trouble open(const ConnFaults& faults = {}) {
        faults_ = faults;
        sockaddr_storage peer{}, source{};
        const socklen_t peer_size = sdk::to_sockaddr(options_.peer, peer);
        const socklen_t source_size = sdk::to_sockaddr(options_.source, source);
        const auto trouble = [](const std::string& what, int error) {
            return Trouble{what + ": " + sdk::errno_words(error), error};
        };
        fd_ = socket(peer.ss_family, (tcp_ ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd_ < 0) return trouble("can not make a socket", errno);
        if (options_.fwmark &&
            setsockopt(fd_, SOL_SOCKET, SO_MARK, &options_.fwmark, sizeof options_.fwmark) != 0)
            return trouble("can not set fwmark " + std::to_string(options_.fwmark), errno);
        if (!interface_.empty() && setsockopt(fd_, SOL_SOCKET, SO_BINDTODEVICE, interface_.data(),
                                              static_cast<socklen_t>(interface_.size())) != 0)
            return trouble("can not use interface " + interface_, errno);
        const int on = 1;
        if (source_size && options_.source.port == 0)
            setsockopt(fd_, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (source_size && bind(fd_, reinterpret_cast<sockaddr*>(&source), source_size) != 0)
            return trouble("can not use source address " + sdk::to_string(options_.source), errno);
        if (options_.transport == GORB_TLS) {
            std::string why;
            tls_ = FakeTls::make(tls_options_, fd_, why);
            if (!tls_) return {why, 0};
        }
        int error = faults.connect;
        if (!error && connect(fd_, reinterpret_cast<sockaddr*>(&peer), peer_size) != 0) error = errno;
        // Said at once it is a route of our own; what a router says comes later.
        const bool no_route = !faults.connect && error == EHOSTUNREACH;
        if (no_route || sdk::our_trouble(error))
            return trouble("can not connect to " + sdk::with_port(options_.peer), error);
        if (error && error != EINPROGRESS) return finish_soon(-error), Trouble{};
        if (options_.deadline_ns) {
            auto self = weak_from_this();
            deadline_ = loop_.at(options_.deadline_ns, [self] {
                if (auto conn = self.lock()) conn->time_out();
            });
        }
        rewatch();
        return {};
    }
    int send(const void* data, size_t size) {
        if (fd_ < 0 || !opened_) return -ENOTCONN;
        if (!tcp_) return send_datagram(data, size);
        if (out_.size() + size > most) return -ENOBUFS;
        out_.append(static_cast<const char*>(data), size);
        rewatch();
        return 0;
    }
    bool is_probe() const { return (options_.flags & GORB_CONN_PROBE) != 0; }
    int tls_peer(gorb_tls_peer& out) {
        if (!tls_) return -EINVAL;
        if (!opened_) return -ENOTCONN;
        tls_->peer(out);
        return 0;
    }
    // Before opened(): how far it has come; else "".
    std::string stage() const {
        if (fd_ < 0 || opened_) return "";
        return connected_ ? "in the TLS handshake" : "connecting";
    }
    // Resets TCP, or finishes it where that was asked for; no event follows.
    void close() {
        if (fd_ >= 0 && (options_.flags & GORB_CONN_FINISH) && !out_.empty()) send_rest();
        release();
        gone_("");
    }

  private:
    static constexpr size_t most = 1 << 20;

    void rewatch() {
        uint32_t events = 0;
        if (!connected_ || !out_.empty() || want_write_) events |= FakeLoop::writable;
        if (connected_ && !want_write_) events |= FakeLoop::readable;
        if (events == watched_) return;
        watched_ = events;
        auto self = weak_from_this();
        loop_.watch(fd_, events, [self](uint32_t) {
            if (auto conn = self.lock()) conn->ready();
        });
    }
    void ready() {
        if (!connected_) {
            int error = 0;
            socklen_t size = sizeof error;
            getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
            if (error) return finish(-error);
            connected_ = true;
        }
        if (!opened_ && !open_up()) return;
        if (!flush()) return;
        drain();
    }
    // False: it is not open yet, or not any more.
    bool open_up() {
        if (tls_ && !faults_.tls.empty()) return finish(-EPROTO, faults_.tls), false;
        if (tls_) {
            const auto step = tls_->handshake();
            if (step == FakeTls::Step::failed) return finish(tls_->error(), tls_->words()), false;
            want_write_ = step == FakeTls::Step::want_write;
            if (step != FakeTls::Step::done || faults_.stalled) return rewatch(), false;
        }
        opened_ = true;
        if (events_.opened) call("opened", [&] { events_.opened(arg_, handle_); });
        if (fd_ < 0) return false;
        rewatch();
        return true;
    }
    bool flush() {
        while (!out_.empty()) {
            size_t sent = 0;
            if (tls_) {
                const auto step = tls_->write(out_.data(), out_.size(), sent);
                if (step == FakeTls::Step::failed || step == FakeTls::Step::ended)
                    return finish(tls_->error() ? tls_->error() : -EPIPE, tls_->words()), false;
                if (step != FakeTls::Step::done) break;
            } else {
                const ssize_t n = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
                if (n < 0 && errno == EAGAIN) break;
                if (n < 0) return finish(-errno), false;
                sent = static_cast<size_t>(n);
            }
            out_.erase(0, sent);
        }
        rewatch();
        return true;
    }
    // What send() has taken goes before the FIN, as far as the kernel takes it at once.
    void send_rest() {
        size_t sent = 0;
        if (tls_) {
            tls_->write(out_.data(), out_.size(), sent);
        } else if (::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL) < 0) {
            out_.clear();
        }
    }
    void drain() {
        for (int turn = 0; turn < 16 && fd_ >= 0; ++turn) {
            char buffer[65536];
            size_t got = 0;
            if (tls_) {
                const auto step = tls_->read(buffer, sizeof buffer, got);
                if (step == FakeTls::Step::failed) return finish(tls_->error(), tls_->words());
                if (step == FakeTls::Step::ended) return finish(0);
                if (step != FakeTls::Step::done) return;
            } else {
                const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
                if (n < 0 && errno == EAGAIN) return;
                if (n < 0) return finish(-errno);
                if (n == 0 && tcp_) return finish(0);
                got = static_cast<size_t>(n);
            }
            in_.append(buffer, got);
            size_t used = in_.size();
            const auto* bytes = reinterpret_cast<const uint8_t*>(in_.data());
            if (events_.received)
                call("received", [&] { used = events_.received(arg_, handle_, bytes, in_.size()); });
            if (!tcp_) used = in_.size();
            in_.erase(0, std::min(used, in_.size()));
            if (fd_ >= 0 && in_.size() > most)
                return finish(-EMSGSIZE, "more than 1 MiB came and was not consumed");
        }
    }
    // What the network said of an earlier datagram is the connection's end, and not for send() to tell.
    int send_datagram(const void* data, size_t size) {
        if (broken_ || ::send(fd_, data, size, MSG_NOSIGNAL) >= 0) return 0;
        if (errno == EMSGSIZE) return -EMSGSIZE;
        if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) return -ENOBUFS;
        broken_ = true;
        finish_soon(-errno);
        return 0;
    }
    void finish_soon(int why) {
        auto self = weak_from_this();
        loop_.cancel(deadline_);
        deadline_ = loop_.at(0, [self, why] {
            if (auto conn = self.lock()) conn->finish(why);
        });
    }
    void time_out() {
        const bool shaking = tls_ && connected_ && !opened_;
        finish(-ETIMEDOUT, shaking ? "timed out in the TLS handshake" : "");
    }
    // `reason` by value: it may be the session's, which goes.
    void finish(int why, std::string reason = {}) {  // NOLINT(performance-unnecessary-value-param)
        // Our own routes would have refused connect(): a router says so.
        if (why == -ENETUNREACH || why == -EACCES) why = -EHOSTUNREACH;
        const bool was_open = fd_ >= 0;
        release();
        if (!was_open) return;
        auto self = shared_from_this();
        gone_(reason);
        if (events_.closed) call("closed", [&] { events_.closed(arg_, handle_, why); });
    }
    void release() {
        loop_.cancel(deadline_);
        deadline_ = 0;
        if (fd_ < 0) return;
        loop_.watch(fd_, 0, nullptr);
        const linger reset = {1, 0};
        if (tcp_ && !(options_.flags & GORB_CONN_FINISH))
            setsockopt(fd_, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        ::close(fd_);
        fd_ = -1;
    }
    void call(const char* what, const std::function<void()>& fn) {
        auto self = shared_from_this();  // the plugin may close the connection from within
        calls_(what, fn);
    }

    FakeLoop& loop_;
    gorb_conn* const handle_;
    gorb_conn_options options_{};
    const gorb_conn_events events_;
    void* const arg_;
    const Calls calls_;
    const Gone gone_;
    ConnFaults faults_;
    FakeTlsOptions tls_options_;
    std::unique_ptr<FakeTls> tls_;
    std::string interface_;
    int fd_ = -1;
    bool tcp_ = true, connected_ = false, opened_ = false, want_write_ = false;
    bool broken_ = false;  // a datagram could not be sent, and closed() is on its way
    uint32_t watched_ = 0;
    uint64_t deadline_ = 0;
    std::string in_, out_;
};

}  // namespace gorb::testing
#endif  // GORB_TESTING_NET_HPP
