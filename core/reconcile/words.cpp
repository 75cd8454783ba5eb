#include "reconcile/words.h"

#include <linux/ip_vs.h>

#include <array>
#include <string_view>

#include "model/codec.h"
#include "reconcile/plan.h"

namespace gorb::reconcile {
namespace {

// One text for each setting, "" where there is nothing to say; the settings of two records stand at the same
// places.
using ServiceWords = std::array<std::string, 5>;
using DestWords = std::array<std::string, 5>;

std::string_view forwarding_text(uint32_t forwarding) {
    switch (forwarding) {
        case IP_VS_CONN_F_MASQ:
            return "nat";
        case IP_VS_CONN_F_LOCALNODE:
            return "local";
        case IP_VS_CONN_F_TUNNEL:
            return "tunnel";
        case IP_VS_CONN_F_DROUTE:
            return "dr";
        case IP_VS_CONN_F_BYPASS:
            return "bypass";
        default:
            return "unknown";
    }
}

std::string flag_words(const ipvs::ServiceRecord& r) {
    uint32_t left = r.flags & ~uint32_t{IP_VS_SVC_F_PERSISTENT | IP_VS_SVC_F_HASHED};
    if (left == 0) return {};
    std::string out;
    const auto add = [&](std::string_view word) {
        out += out.empty() ? "" : " ";
        out += word;
    };
    const uint32_t scheduler_flags = left & (model::flag_fallback | model::flag_port);
    if (scheduler_flags != 0 && (r.scheduler == "sh" || r.scheduler == "mh")) {
        add(model::flags_text(r.scheduler, scheduler_flags));
        left &= ~scheduler_flags;
    }
    if ((left & IP_VS_SVC_F_ONEPACKET) != 0) add("one-packet");
    left &= ~uint32_t{IP_VS_SVC_F_ONEPACKET};
    if (left != 0) add("flags " + std::to_string(left));
    return out;
}

ServiceWords words(const ipvs::ServiceRecord& r) {
    const bool persistent = (r.flags & IP_VS_SVC_F_PERSISTENT) != 0;
    const unsigned whole = r.key.family == base::Ip::Family::v4 ? 32 : 128;
    std::string timeout;
    if (persistent || r.timeout_s != 0)
        timeout = (persistent ? "persistent " : "timeout ") + std::to_string(r.timeout_s) + " s";
    return {r.scheduler, flag_words(r), std::move(timeout),
            r.netmask == whole ? "" : "netmask /" + std::to_string(r.netmask),
            r.pe_name.empty() ? "" : "persistence engine " + r.pe_name};
}

DestWords words(const ipvs::DestRecord& r) {
    std::string tunnel;
    if (r.has_tunnel()) {
        tunnel = "tunnel type " + std::to_string(r.tunnel_type) + " port " + std::to_string(r.tunnel_port) +
                 " flags " + std::to_string(r.tunnel_flags);
    }
    return {std::string(forwarding_text(r.forwarding)), "weight " + std::to_string(r.weight),
            r.upper_threshold ? "upper-threshold " + std::to_string(r.upper_threshold) : "",
            r.lower_threshold ? "lower-threshold " + std::to_string(r.lower_threshold) : "",
            std::move(tunnel)};
}

void add_word(std::string& out, std::string_view word) {
    if (word.empty()) return;
    if (!out.empty()) out += ", ";
    out += word;
}

template <class Words>
std::string joined(const Words& words) {
    std::string out;
    for (const std::string& word : words) add_word(out, word);
    return out;
}

// What one side has no word for is said by naming the other's: "no persistent 300 s".
template <class Words>
std::pair<std::string, std::string> differing(const Words& before, const Words& after) {
    std::pair<std::string, std::string> out;
    for (size_t i = 0; i < before.size(); ++i) {
        if (before[i] == after[i]) continue;
        add_word(out.first, before[i].empty() ? "no " + after[i] : before[i]);
        add_word(out.second, after[i].empty() ? "no " + before[i] : after[i]);
    }
    return out;
}

}  // namespace

std::string settings_text(const ipvs::ServiceRecord& record) {
    return joined(words(record));
}
std::string settings_text(const ipvs::DestRecord& record) {
    // Nearly all are of this kind, and a plan may have very many.
    if (record.upper_threshold == 0 && record.lower_threshold == 0 && !record.has_tunnel()) {
        return std::string(forwarding_text(record.forwarding)) + ", weight " + std::to_string(record.weight);
    }
    return joined(words(record));
}

std::pair<std::string, std::string> words_that_differ(const ipvs::ServiceRecord& before,
                                                      const ipvs::ServiceRecord& after) {
    return differing(words(before), words(after));
}
std::pair<std::string, std::string> words_that_differ(const ipvs::DestRecord& before,
                                                      const ipvs::DestRecord& after) {
    return differing(words(before), words(after));
}

}  // namespace gorb::reconcile
