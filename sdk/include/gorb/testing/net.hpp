// Real non-blocking client connections for tests, as gorb.net/1 describes them: TCP and connected UDP.
//
// Part of gorb/testing.hpp. Threads: the loop's.
#ifndef GORB_TESTING_NET_HPP
#define GORB_TESTING_NET_HPP
#include <gorb/sdk/values.hpp>
#include <gorb/testing/loop.hpp>

#include <string>

namespace gorb::testing {

class FakeConn : public std::enable_shared_from_this<FakeConn> {
  public:
    // How the host calls into the plugin: `what` names the callback, `fn` makes the call. The host measures
    // it.
    using Calls = std::function<void(const char* what, const std::function<void()>& fn)>;
    using Gone = std::function<void()>;

    FakeConn(FakeLoop& loop, gorb_conn* handle, const gorb_conn_options& options,
             const gorb_conn_events& events, void* arg, Calls calls, Gone gone)
        : loop_(loop),
          handle_(handle),
          options_(options),
          events_(events),
          arg_(arg),
          calls_(std::move(calls)),
          gone_(std::move(gone)) {}
    ~FakeConn() { release(); }
    FakeConn(const FakeConn&) = delete;
    FakeConn& operator=(const FakeConn&) = delete;

    // 0, or a negative errno for trouble of our own. What the peer does comes later, through closed().
    // fail: an errno that connect() is to end with; 0 for what really happens.
    int open(int fail = 0) {
        sockaddr_storage peer{}, source{};
        const socklen_t peer_size = sdk::to_sockaddr(options_.peer, peer);
        const socklen_t source_size = sdk::to_sockaddr(options_.source, source);
        if (peer_size == 0) return -EAFNOSUPPORT;
        const bool tcp = options_.transport == GORB_TCP;
        fd_ = socket(peer.ss_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd_ < 0) return -errno;
        if (options_.fwmark &&
            setsockopt(fd_, SOL_SOCKET, SO_MARK, &options_.fwmark, sizeof options_.fwmark) != 0)
            return -errno;
        if (source_size && bind(fd_, reinterpret_cast<sockaddr*>(&source), source_size) != 0) return -errno;
        const int rc = fail ? -1 : connect(fd_, reinterpret_cast<sockaddr*>(&peer), peer_size);
        if (rc != 0 && (fail || errno != EINPROGRESS)) {
            const int why = fail ? -fail : -errno;
            auto self = weak_from_this();
            deadline_ = loop_.at(0, [self, why] {
                if (auto conn = self.lock()) conn->finish(why);
            });
            return 0;
        }
        if (options_.deadline_ns) {
            auto self = weak_from_this();
            deadline_ = loop_.at(options_.deadline_ns, [self] {
                if (auto conn = self.lock()) conn->finish(-ETIMEDOUT);
            });
        }
        rewatch();
        return 0;
    }
    int send(const void* data, size_t size) {
        if (fd_ < 0 || !opened_) return -ENOTCONN;
        if (options_.transport == GORB_UDP) return ::send(fd_, data, size, MSG_NOSIGNAL) < 0 ? -errno : 0;
        if (out_.size() + size > most) return -ENOBUFS;
        out_.append(static_cast<const char*>(data), size);
        rewatch();
        return 0;
    }
    // Resets TCP; no event follows.
    void close() {
        release();
        gone_();
    }

  private:
    static constexpr size_t most = 1 << 20;

    void rewatch() {
        uint32_t events = 0;
        if (!opened_ || !out_.empty()) events |= FakeLoop::writable;
        if (opened_) events |= FakeLoop::readable;
        if (events == watched_) return;
        watched_ = events;
        auto self = weak_from_this();
        loop_.watch(fd_, events, [self](uint32_t) {
            if (auto conn = self.lock()) conn->ready();
        });
    }
    void ready() {
        if (!opened_) {
            int error = 0;
            socklen_t size = sizeof error;
            getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
            if (error) return finish(-error);
            opened_ = true;
            call("opened", [&] { events_.opened(arg_, handle_); });
            if (fd_ < 0) return;
            rewatch();
        }
        if (!flush()) return;
        drain();
    }
    bool flush() {
        while (!out_.empty()) {
            const ssize_t n = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
            if (n < 0 && errno == EAGAIN) break;
            if (n < 0) return finish(-errno), false;
            out_.erase(0, static_cast<size_t>(n));
        }
        rewatch();
        return true;
    }
    void drain() {
        for (int turn = 0; turn < 16 && fd_ >= 0; ++turn) {
            char buffer[65536];
            const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
            if (n < 0 && errno == EAGAIN) return;
            if (n < 0) return finish(-errno);
            const bool tcp = options_.transport == GORB_TCP;
            if (n == 0 && tcp) return finish(0);
            in_.append(buffer, static_cast<size_t>(n));
            size_t used = 0;
            call("received", [&] {
                used =
                    events_.received(arg_, handle_, reinterpret_cast<const uint8_t*>(in_.data()), in_.size());
            });
            if (!tcp) used = in_.size();
            in_.erase(0, std::min(used, in_.size()));
            if (fd_ >= 0 && in_.size() > most) return finish(-ENOBUFS);
        }
    }
    void finish(int why) {
        const bool was_open = fd_ >= 0;
        release();
        if (!was_open) return;
        auto self = shared_from_this();
        gone_();
        call("closed", [&] { events_.closed(arg_, handle_, why); });
    }
    void release() {
        loop_.cancel(deadline_);
        deadline_ = 0;
        if (fd_ < 0) return;
        loop_.watch(fd_, 0, nullptr);
        const linger reset = {1, 0};
        if (options_.transport == GORB_TCP) setsockopt(fd_, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        ::close(fd_);
        fd_ = -1;
    }
    void call(const char* what, const std::function<void()>& fn) {
        auto self = shared_from_this();  // the plugin may close the connection from within
        calls_(what, fn);
    }

    FakeLoop& loop_;
    gorb_conn* const handle_;
    const gorb_conn_options options_;
    const gorb_conn_events events_;
    void* const arg_;
    const Calls calls_;
    const Gone gone_;
    int fd_ = -1;
    bool opened_ = false;
    uint32_t watched_ = 0;
    uint64_t deadline_ = 0;
    std::string in_, out_;
};

}  // namespace gorb::testing
#endif  // GORB_TESTING_NET_HPP
