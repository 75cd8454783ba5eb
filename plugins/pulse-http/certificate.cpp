#include "certificate.h"

#include <array>
#include <ctime>

namespace pulse_http {
namespace {

std::string day_of(int64_t when) {
    std::tm parts{};
    std::array<char, 16> text{};
    const auto seconds = static_cast<time_t>(when);
    if (!gmtime_r(&seconds, &parts)) return "a day out of reach";
    if (strftime(text.data(), text.size(), "%Y-%m-%d", &parts) == 0) return "a day out of reach";
    return text.data();
}

std::string ends_in(int64_t days, int64_t not_after) {
    const std::string when = days == 0   ? "within a day"
                             : days == 1 ? "in 1 day"
                                         : "in " + std::to_string(days) + " days";
    return "certificate ends " + when + " (" + day_of(not_after) + ")";
}

}  // namespace

CertificateView judge_certificate(int64_t not_after, int64_t now, const CertificateRule& rule) {
    constexpr int64_t day = 24 * 60 * 60;
    if (not_after < now) return {"certificate has expired (" + day_of(not_after) + ")", ""};
    const int64_t days = (not_after - now) / day;
    if (days < rule.fail_days)
        return {ends_in(days, not_after) + ", at least " + std::to_string(rule.fail_days) + " days expected",
                ""};
    if (days < rule.warn_days) return {"", ends_in(days, not_after)};
    return {};
}

}  // namespace pulse_http
