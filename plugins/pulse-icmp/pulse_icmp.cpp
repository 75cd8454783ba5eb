// Pulse "icmp": echo requests (ping), IPv4 and IPv6. All targets of an instance share a socket for each
// family.
#include <cstdio>
#include <gorb/plugin.hpp>
#include <vector>

#include "echo.h"
#include "socket.h"

namespace {

using namespace gorb::sdk;
using pulse_icmp::EchoSocket;
using pulse_icmp::SocketKey;
using pulse_icmp::Sockets;

constexpr uint64_t widest_gap = 1'000'000'000;  // between two requests

class IcmpPulse final : private EchoSocket::Events {
  public:
    using Instance = Sockets;
    static constexpr const char *name = "icmp", *version = GORB_VERSION,
                                *summary = "sends echo requests (ping)";
    static constexpr gorb_option args[] = {
        {"size", GORB_INT, 0, "56", "0..1472", "bytes of payload in a request"},
        {"count", GORB_INT, 0, "1", "1..20", "requests a check sends, until enough are answered"},
        {"least", GORB_INT, 0, "1", "1..20", "answers that are enough"},
        {"ttl", GORB_INT, 0, nullptr, "1..255", "time to live (hop limit) of a request, if not the system's"},
    };
    static constexpr gorb_option options[] = {
        {"socket", GORB_TEXT, 0, "any", "any|ping|raw",
         "kind of socket: ping (net.ipv4.ping_group_range), raw (CAP_NET_RAW), or the first that is "
         "permitted"},
    };

    static void check(const Config& config) {
        if (config.integer("least").value_or(1) > config.integer("count").value_or(1))
            throw Error("\"least\" is more than \"count\": more answers than requests");
    }

    IcmpPulse(Sockets& sockets, const Target& target)
        : sockets_(sockets),
          to_(target.address()),
          size_(static_cast<uint16_t>(target.args().integer("size").value_or(56))),
          count_(static_cast<uint8_t>(target.args().integer("count").value_or(1))),
          least_(static_cast<uint8_t>(target.args().integer("least").value_or(1))),
          next_(sockets.host()) {
        check(target.args());
        if (to_.family != 4 && to_.family != 6) throw Error("the target has no address");
        SocketKey key;
        key.v6 = to_.family == 6;
        key.source = target.source();
        key.interface = std::string(target.interface());
        key.fwmark = target.fwmark();
        key.ttl = static_cast<int>(target.args().integer("ttl").value_or(0));
        socket_ = sockets.get(key);
    }
    ~IcmpPulse() { forget(); }
    IcmpPulse(const IcmpPulse&) = delete;
    IcmpPulse& operator=(const IcmpPulse&) = delete;

    void start(const Run& run) {
        forget();
        run_ = run;
        token_ = sockets_.token();
        begun_ = sockets_.host().now();
        const uint64_t whole = run.deadline() > begun_ ? run.deadline() - begun_ : 0;
        gap_ = std::min(widest_gap, whole / (count_ + 1u));
        sent_.clear();
        answered_ = lost_ = 0;
        round_trips_ = 0;
        err_ = 0;
        why_lost_.clear();
        send_next();
    }
    void cancel() noexcept {
        next_.cancel();
        forget();
    }
    void expire() { finish(); }

  private:
    struct Sent {
        uint16_t sequence;
        bool open;
        uint64_t at;
    };

    void send_one() {
        Sent sent{0, true, sockets_.host().now()};
        sent.sequence = socket_->send(to_, pulse_icmp::payload_of(token_, size_), *this);
        sent_.push_back(sent);
        if (sent_.size() < count_) next_.at(begun_ + sent_.size() * gap_, [this] { send_next(); });
    }
    void send_next() {
        try {
            send_one();
        } catch (const Error& e) {
            done(Result::unknown(e.what(), e.number()));
        }
    }

    bool answered(uint16_t sequence, std::string_view payload) override {
        const std::string wanted = pulse_icmp::payload_of(token_, size_);
        const size_t token = std::min(sizeof token_, wanted.size());
        if (payload.substr(0, token) != std::string_view(wanted).substr(0, token)) return false;
        Sent* const sent = close(sequence);
        if (!sent) return true;
        if (payload != wanted) {
            lose("the answer's payload is not the one that was sent", EBADMSG);
            return true;
        }
        ++answered_;
        round_trips_ += sockets_.host().now() - sent->at;
        if (answered_ >= least_) finish();
        return true;
    }
    void unreachable(uint16_t sequence, const std::string& words, int err) override {
        if (close(sequence)) lose(words, err);
    }
    Sent* close(uint16_t sequence) {
        for (Sent& sent : sent_)
            if (sent.open && sent.sequence == sequence) {
                sent.open = false;
                return &sent;
            }
        return nullptr;
    }
    void lose(const std::string& words, int err) {
        ++lost_;
        why_lost_ = words;
        err_ = err;
        if (count_ - lost_ < least_) finish();  // what is still to come can not be enough
    }

    void finish() {
        const std::string so_far = std::to_string(answered_) + " of " + std::to_string(sent_.size()) +
                                   (sent_.size() == 1 ? " request" : " requests") + " answered";
        Result result;
        if (answered_ >= least_) {
            const uint64_t average = round_trips_ / answered_;
            char time[48];
            std::snprintf(time, sizeof time, "%.2f ms", static_cast<double>(average) / 1e6);
            result = Result::pass(count_ == 1 ? std::string("answered in ") + time
                                              : so_far + ", " + time + " on average");
            result.latency = std::chrono::nanoseconds(average);
        } else {
            std::string words = answered_ > 0           ? so_far + " (" + std::to_string(least_) + " needed)"
                                : lost_ == sent_.size() ? ""
                                                        : "no answer to " + std::to_string(sent_.size()) +
                                                              (sent_.size() == 1 ? " request" : " requests");
            if (!why_lost_.empty()) words += (words.empty() ? "" : "; ") + why_lost_;
            result = Result::fail(std::move(words), err_ ? err_ : ETIMEDOUT);
        }
        done(result);
    }
    void done(const Result& result) {
        cancel();
        run_.report(result);
    }
    void forget() noexcept {
        for (Sent& sent : sent_)
            if (sent.open) socket_->forget(sent.sequence);
        for (Sent& sent : sent_) sent.open = false;
    }

    Sockets& sockets_;
    std::shared_ptr<EchoSocket> socket_;
    const gorb_addr to_;
    const uint16_t size_;
    const uint8_t count_, least_;
    uint8_t answered_ = 0, lost_ = 0;
    int err_ = 0;  // of the last error
    uint64_t token_ = 0, begun_ = 0, gap_ = 0, round_trips_ = 0;
    std::vector<Sent> sent_;
    std::string why_lost_;
    Run run_;
    Timer next_;
};

}  // namespace

GORB_PULSE(IcmpPulse)
