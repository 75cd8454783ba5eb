// Pulse "ttl": the backend, or somebody who knows it, reports; a report is good for so long, and silence is a
// failure.
#include <array>
#include <cstdio>
#include <gorb/plugin.hpp>

namespace {

using namespace gorb::sdk;

constexpr uint64_t second = 1000000000;
constexpr uint64_t held_up = second;  // the end of a ttl that is seen so late was not waited for

// "45s", "1.5s", "250ms"
std::string in_words(uint64_t ns) {
    std::array<char, 32> text{};
    if (ns < second)
        std::snprintf(text.data(), text.size(), "%llums", static_cast<unsigned long long>(ns / 1000000));
    else if (ns < 10 * second && ns % second >= second / 10)
        std::snprintf(text.data(), text.size(), "%llu.%llus", static_cast<unsigned long long>(ns / second),
                      static_cast<unsigned long long>(ns % second / (second / 10)));
    else
        std::snprintf(text.data(), text.size(), "%llus", static_cast<unsigned long long>(ns / second));
    return text.data();
}

class TtlPulse final {
  public:
    static constexpr const char *name = "ttl", *version = GORB_VERSION,
                                *summary = "takes reports by PUT /service/<s>/<b>/pulse; silence fails";
    static constexpr gorb_option args[] = {
        {"ttl", GORB_DURATION, 0, "30s", "10ms..8784h", "how long a report is good for"},
    };

    TtlPulse(const Host& host, const Target& target)
        : host_(host),
          ttl_(static_cast<uint64_t>(
              target.args().duration("ttl").value_or(std::chrono::seconds(30)).count())),
          since_(host.now()),
          timer_(host) {}

    void start(const Run& run) {
        run_ = run;
        if (timer_.armed()) forgive();
        run.report(judge());
        look_again();
    }
    void cancel() noexcept {}  // every run is answered at once

    void push(const Push& push) {
        if (push.share > 100) throw Error("\"share\" must be a number from 0 to 100, per cent");
        reported_ = true;
        since_ = host_.now();
        last_ = {push.verdict, std::string(push.detail), push.code, push.share};
        if (last_.detail.empty())
            last_.detail = push.verdict == Verdict::pass ? "reported well" : "reported as failed";
        look_again();
        run_.recheck();
    }

  private:
    Result judge() const {
        const uint64_t age = host_.now() - since_;
        if (reported_ && age < ttl_) return last_;
        const std::string limit = "(ttl " + in_words(ttl_) + ")";
        if (!reported_ && age < ttl_) return Result::unknown("no report yet " + limit, EINPROGRESS);
        return Result::fail("no report for " + in_words(age) + " " + limit, ETIMEDOUT);
    }
    // Silence takes effect when the ttl ends, not at the check after it. Without a timer it takes until then.
    void look_again() {
        const uint64_t ends = since_ + ttl_;
        timer_.cancel();
        if (host_.now() < ends && run_.id())
            host_.guarded("timer", [&] { timer_.at(ends, [this] { time_is_up(); }); });
    }
    void time_is_up() {
        forgive();
        if (host_.now() < since_ + ttl_)
            look_again();
        else
            run_.recheck();
    }
    // While this process stood still (stopped, frozen, starved) nobody could report: that is no silence.
    void forgive() {
        if (const uint64_t now = host_.now(); now > since_ + ttl_ + held_up) since_ = now;
    }

    const Host& host_;
    const uint64_t ttl_;
    uint64_t since_;  // the last report, or the beginning
    bool reported_ = false;
    Result last_;
    Run run_;
    Timer timer_;
};

}  // namespace

GORB_PULSE(TtlPulse)
