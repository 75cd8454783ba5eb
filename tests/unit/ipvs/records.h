// Records for tests of ipvs: short ways to write them, and to compare what a table shows with what was
// wanted.
#pragma once
#include <gtest/gtest.h>
#include <linux/ip_vs.h>
#include <netinet/in.h>

#include <algorithm>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "ipvs/driver.h"

namespace gorb::ipvs {

inline base::Ip ip(std::string_view text) {
    return base::Ip::parse(text).value();
}
inline base::Endpoint at(std::string_view text) {
    return base::Endpoint::parse(text).value();
}
inline ServiceKey tcp(std::string_view vip) {
    return ServiceKey::of(IPPROTO_TCP, at(vip));
}
inline ServiceKey udp(std::string_view vip) {
    return ServiceKey::of(IPPROTO_UDP, at(vip));
}
inline ServiceKey mark(uint32_t fwmark, base::Ip::Family family = base::Ip::Family::v4) {
    ServiceKey key;
    key.family = family;
    key.fwmark = fwmark;
    return key;
}

inline ServiceRecord service_of(const ServiceKey& key, std::string scheduler = "rr") {
    ServiceRecord record;
    record.key = key;
    record.scheduler = std::move(scheduler);
    record.netmask = key.family == base::Ip::Family::v6 ? 128 : 32;
    return record;
}

inline DestRecord dest_of(std::string_view address, uint32_t weight = 1) {
    DestRecord record;
    record.address = at(address);
    record.weight = weight;
    return record;
}

// The n-th of 2^20 different IPv4 endpoints.
inline DestRecord numbered_dest(uint32_t n, uint32_t weight = 1) {
    DestRecord record;
    record.address.ip = ip("10.64.0.0");
    record.address.ip.bytes[1] = static_cast<uint8_t>(64 + (n >> 16 & 0xf));
    record.address.ip.bytes[2] = static_cast<uint8_t>(n >> 8);
    record.address.ip.bytes[3] = static_cast<uint8_t>(n);
    record.address.port = 80;
    record.weight = weight;
    return record;
}

// How GoogleTest shows them.
inline void PrintTo(const ServiceRecord& s, std::ostream* out) {
    *out << s.key.text() << " " << s.scheduler << " flags " << s.flags << " timeout " << s.timeout_s
         << " netmask " << unsigned{s.netmask} << " pe \"" << s.pe_name << "\"";
}
inline void PrintTo(const DestRecord& d, std::ostream* out) {
    *out << d.address.text() << " forwarding " << d.forwarding << " weight " << d.weight << " thresholds "
         << d.lower_threshold << ".." << d.upper_threshold << " tunnel " << unsigned{d.tunnel_type} << ":"
         << d.tunnel_port << ":" << d.tunnel_flags;
}

template <class Record>
testing::AssertionResult same(const Record& found, const Record& wanted) {
    if (found.same_settings(wanted)) return testing::AssertionSuccess();
    return testing::AssertionFailure()
           << "found " << testing::PrintToString(found) << ", wanted " << testing::PrintToString(wanted);
}

template <class T>
testing::AssertionResult ok(const base::Result<T>& result) {
    if (result) return testing::AssertionSuccess();
    return testing::AssertionFailure() << result.error().sentence;
}

inline testing::AssertionResult all_ok(const std::vector<base::Status>& statuses) {
    for (const auto& status : statuses) {
        if (!status) return ok(status);
    }
    return testing::AssertionSuccess();
}

// Whether it failed, with this code, in a sentence that names the operation.
inline testing::AssertionResult refused(const base::Status& status, base::Errc code, const Op& op) {
    if (status) return testing::AssertionFailure() << op.text() << " was done";
    const base::Error& error = status.error();
    if (error.code != code) {
        return testing::AssertionFailure() << "code " << static_cast<int>(error.code) << " instead of "
                                           << static_cast<int>(code) << ": " << error.sentence;
    }
    if (!error.sentence.starts_with(op.text() + ": ")) {
        return testing::AssertionFailure()
               << "the sentence does not begin with the operation: " << error.sentence;
    }
    return testing::AssertionSuccess();
}

}  // namespace gorb::ipvs
