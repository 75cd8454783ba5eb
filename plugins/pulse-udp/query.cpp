#include "query.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace pulse_udp {

using namespace gorb::sdk;

namespace {

// "1s", "1.5s", "200ms"
std::string in_words(std::chrono::nanoseconds time) {
    const auto ms = std::chrono::round<std::chrono::milliseconds>(time).count();
    if (ms < 1000) return std::to_string(ms) + "ms";
    char text[32];
    snprintf(text, sizeof text, "%g", static_cast<double>(ms) / 1000);
    return std::string(text) + "s";
}

std::string tries(int64_t count) {
    return count == 1 ? "1 try" : std::to_string(count) + " tries";
}

}  // namespace

Query::Query(const Host& host, const Exchange& exchange, Connection::Options route, const Run& run, Over over)
    : host_(host),
      exchange_(exchange),
      connection_(host, *this),
      timer_(host),
      over_(std::move(over)),
      end_(run.deadline()),
      given_(end_ - std::min(end_, host.now())) {
    route.transport = GORB_UDP;
    connection_.open(route);
}

// Times count from here: since the start the loop may have stood still, when no error could be heard.
void Query::opened() {
    const uint64_t now = host_.now();
    if (now >= end_) return silence();
    if (exchange_.step.expect) {
        every_ = (end_ - now) / static_cast<uint64_t>(exchange_.tries);
    } else {
        end_ = std::min(end_, now + static_cast<uint64_t>(exchange_.wait.count()));
        given_ = std::chrono::nanoseconds(end_ - now);
    }
    timer_.at(every_ ? std::min(end_, now + every_) : end_, [this] { due(); });
    send();
}

void Query::send() {
    ++sent_;
    const int32_t rc = connection_.send(exchange_.step.send);
    if (rc != 0) closed(rc);
}

// Silence up to now.
void Query::due() {
    const uint64_t now = host_.now();
    if (now < end_) {
        timer_.at(std::min(end_, now + every_), [this] { due(); });
        // The last stretch may be shorter than it should: no datagram for which there is no time.
        if (sent_ < exchange_.tries) send();
        return;
    }
    silence();
}

void Query::silence() {
    if (sent_ == 0) return over(Result::unknown("nothing was sent within " + in_words(given_), EAGAIN));
    if (exchange_.step.expect)
        return over(
            Result::fail("no answer within " + in_words(given_) + " (" + tries(sent_) + ")", ETIMEDOUT));
    over(Result::pass("no ICMP error within " + in_words(given_)));
}

size_t Query::received(std::string_view datagram) {
    const size_t size = datagram.size();
    over(exchange_.judge(datagram));
    return size;
}

void Query::closed(int32_t why) {
    const int32_t code = why < 0 ? -why : why;
    if (our_trouble(why)) return over(Result::unknown(errno_words(why), code));
    switch (code) {
        case ECONNREFUSED:
            return over(Result::fail("nobody listens on that port (ICMP port unreachable)", code));
        case EMSGSIZE:
            return over(Result::unknown("the datagram is too long to be sent", code));
        default:
            return over(Result::fail(code ? errno_words(code) : "connection closed", code));
    }
}

void Query::over(const Result& result) {
    timer_.cancel();
    connection_.close();
    const Over tell = std::move(over_);
    tell(result);  // this may be gone afterwards
}

}  // namespace pulse_udp
