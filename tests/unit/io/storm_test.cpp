// Very many connections at once to servers that behave badly: deadlines hold, memory is bounded, nothing
// leaks.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <atomic>
#include <deque>
#include <thread>

#include "io/conn.h"
#include "io/timer_wheel.h"
#include "net_fixture.h"

namespace gorb::io::storm_test {
namespace {

// A sanitizer keeps red zones, shadows and what was freed.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t heavier = 8;
#else
constexpr size_t heavier = 1;
#endif

constexpr uint64_t second = 1'000'000'000;

enum class Manner { silent, drips, resets, half_a_record };

// Accepts everything, and then behaves in its manner.
class Crowd {
  public:
    explicit Crowd(Manner manner) : manner_(manner), thread_([this] { serve(); }) {}
    ~Crowd() {
        stop_ = true;
        thread_.join();
        for (const int fd : clients_) close(fd);
    }
    Crowd(const Crowd&) = delete;
    Crowd& operator=(const Crowd&) = delete;
    base::Endpoint endpoint() const { return listener_.endpoint(); }
    void drip() { drip_ = true; }

  private:
    void serve() {
        while (!stop_) {
            // Asked before accepting: who had connected by then gets a byte too.
            const bool drips = drip_.exchange(false);
            pollfd waiting{listener_.fd(), POLLIN, 0};
            poll(&waiting, 1, 5);
            for (int fd = listener_.accept(); fd >= 0; fd = listener_.accept()) take(fd);
            if (!drips) continue;
            for (const int fd : clients_) (void)send(fd, "x", 1, MSG_NOSIGNAL);
        }
    }
    void take(int fd) {
        if (manner_ == Manner::resets) {
            reset_on_close(fd);
            close(fd);
            return;
        }
        // The head of a handshake record that is longer than what ever comes.
        const unsigned char half[] = {0x16, 0x03, 0x03, 0x20, 0x00, 0x02, 0x00};
        if (manner_ == Manner::half_a_record) (void)send(fd, half, sizeof half, MSG_NOSIGNAL);
        clients_.push_back(fd);
    }
    const Manner manner_;
    const Listener listener_{"127.0.0.1", 4096};
    std::vector<int> clients_;  // of the thread, until it has ended
    std::atomic<bool> stop_{false}, drip_{false};
    std::thread thread_;
};

struct Client final : ConnEvents {
    void opened(Conn&) override { ++*opens; }
    size_t received(Conn&, const uint8_t*, size_t size) override {
        held = size;
        return 0;  // not a whole message yet
    }
    void closed(Conn&, int w) override {
        why = w;
        ++*ends;
    }
    size_t *opens = nullptr, *ends = nullptr, held = 0;
    int why = 1;
};

class StormTest : public testing::Test {
  protected:
    // As many at once as descriptors allow, both ends being here; 10,000 at most.
    size_t many() {
        const uint64_t limit = raise_descriptor_limit();
        return std::min<size_t>(10'000, (limit - open_descriptors() - 64) / 2);
    }
    void open_all(const Crowd& crowd, size_t count, const TlsOptions* tls = nullptr) {
        clients.resize(count);
        ConnOptions options;
        options.peer = crowd.endpoint();
        options.deadline = clock.now() + 2 * second;
        options.tls = tls;
        for (Client& client : clients) {
            client.opens = &opens;
            client.ends = &ends;
            auto opened = Conn::open(loop, options, client);
            ASSERT_TRUE(opened) << opened.error().sentence;
            loop.step();
        }
    }
    static size_t sockets() {
        size_t count = 0;
        for (const auto& one : std::filesystem::directory_iterator("/proc/self/fd")) {
            std::error_code ignored;
            if (std::filesystem::read_symlink(one.path(), ignored).string().starts_with("socket")) ++count;
        }
        return count;
    }
    base::ManualClock clock{};
    Loop loop{"test", &clock};
    std::deque<Client> clients;
    size_t opens = 0, ends = 0, before = sockets();
};

TEST_F(StormTest, ServersThatAcceptAndSayNothing) {
    const size_t count = many(), start_kib = rss_kib();
    size_t crowd_sockets = 0;
    {
        const Crowd crowd(Manner::silent);
        open_all(crowd, count);
        ASSERT_TRUE(turn_until(loop, [&] { return opens == count; }));
        EXPECT_LE((rss_kib() - std::min(start_kib, rss_kib())) / count, 4u * heavier) << "KiB a connection";
        // The server's ends go when it goes; ours must have gone before.
        clock.advance(2 * second + TimerWheel::slot_ns);
        loop.step();
        EXPECT_EQ(ends, count) << "within one turn of the deadline";
        crowd_sockets = sockets();
    }
    for (const Client& client : clients) ASSERT_EQ(client.why, -ETIMEDOUT);
    EXPECT_LE(crowd_sockets, count + 1);
    EXPECT_EQ(sockets(), before);
}

TEST_F(StormTest, ServersThatSendAByteNowAndThen) {
    const size_t count = many();
    {
        Crowd crowd(Manner::drips);
        open_all(crowd, count);
        ASSERT_TRUE(turn_until(loop, [&] { return opens == count; }));
        for (size_t round = 1; round <= 3; ++round) {
            crowd.drip();
            ASSERT_TRUE(turn_until(loop, [&] {
                return std::all_of(clients.begin(), clients.end(),
                                   [&](const Client& client) { return client.held >= 1; });
            }));
            clock.advance(second / 2);
            loop.step();
        }
        EXPECT_EQ(ends, 0u) << "a byte does not end it";
        clock.advance(second / 2 + TimerWheel::slot_ns);
        loop.step();
        EXPECT_EQ(ends, count) << "nor does it move the deadline";
    }
    EXPECT_EQ(sockets(), before);
}

TEST_F(StormTest, ServersThatReset) {
    const size_t count = many();
    {
        const Crowd crowd(Manner::resets);
        open_all(crowd, count);
        ASSERT_TRUE(turn_until(loop, [&] { return ends == count; }));
    }
    for (const Client& client : clients) ASSERT_EQ(client.why, -ECONNRESET);
    EXPECT_EQ(sockets(), before);
}

TEST_F(StormTest, TlsThatNeverFinishes) {
    const size_t count = many(), start_kib = rss_kib();
    {
        const Crowd crowd(Manner::half_a_record);
        const TlsOptions tls{true, "web.example", "h2", "", "", ""};
        open_all(crowd, count, &tls);
        for (int i = 0; i < 200; ++i) {
            loop.step();
            poll(nullptr, 0, 1);
        }
        EXPECT_EQ(opens + ends, 0u);
        EXPECT_LE((rss_kib() - std::min(start_kib, rss_kib())) / count, 64u * heavier) << "KiB a connection";
        clock.advance(2 * second + TimerWheel::slot_ns);
        loop.step();
        EXPECT_EQ(ends, count);
    }
    if (heavier == 1) {
        const size_t kept = rss_kib() - std::min(start_kib, rss_kib());
        EXPECT_LE(kept, 64u * 1024u) << "KiB are kept of a storm that is over";
    }
    for (const Client& client : clients) ASSERT_EQ(client.why, -ETIMEDOUT);
    EXPECT_EQ(sockets(), before);
}

}  // namespace
}  // namespace gorb::io::storm_test
