// How long a server's certificate still lasts, judged. Pure: the time is given.
#pragma once
#include <cstdint>
#include <string>

namespace pulse_http {

struct CertificateRule {
    int64_t warn_days = 14;  // a warning when fewer whole days than these are left
    int64_t fail_days = 0;   // a failure then; an expired one always is
};

struct CertificateView {
    std::string failure;  // "" or "certificate has expired (2026-11-20)", "certificate ends in 2 days
                          // (2026-12-01), at least 5 days expected"
    std::string warning;  // "" or "certificate ends in 6 days (2026-12-01)"
};

// Both in Unix seconds. At most one of the two is set.
CertificateView judge_certificate(int64_t not_after, int64_t now, const CertificateRule& rule);

}  // namespace pulse_http
