// Any bytes as what comes back for an echo request: nothing is read beyond them, and what is recognised is
// written the same way by ourselves.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "echo.h"

namespace {

void check(bool good) {
    if (!good) std::abort();
}

}  // namespace

// The first byte says which family it is and whether an IPv4 header stands in front; the second and third are
// taken for an error's type and code.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 3) return 0;
    const bool v6 = (data[0] & 1) != 0, with_ip = !v6 && (data[0] & 2) != 0;
    const std::string words = pulse_icmp::error_words(v6, data[1], data[2]);
    check(!words.empty() && words.size() < 80);
    const std::string message(reinterpret_cast<const char*>(data) + 3,
                              size - 3);  // of its own size, for ASan
    const auto echo = pulse_icmp::parse_echo(v6, with_ip, message);
    if (!echo) return 0;
    check(echo->payload.size() + pulse_icmp::echo_header + (with_ip ? 20 : 0) <= message.size());
    check(echo->payload.empty() ||
          (echo->payload.data() >= message.data() &&
           echo->payload.data() + echo->payload.size() == message.data() + message.size()));
    const std::string again = pulse_icmp::echo_request(v6, echo->id, echo->sequence, echo->payload);
    const auto same = pulse_icmp::parse_echo(v6, false, again);
    check(same && same->request && same->id == echo->id && same->sequence == echo->sequence &&
          same->payload == echo->payload);
    return 0;
}
