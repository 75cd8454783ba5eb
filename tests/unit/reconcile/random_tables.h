// Tables at random for the tests of plan(): what is wanted, what is found, and what is leaving, out of a few
// keys, so that they meet in every way.
#pragma once
#include <linux/ip_vs.h>

#include <initializer_list>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "ipvs/memory_driver.h"
#include "reconcile/plan.h"

namespace gorb::reconcile {

class RandomTables {
  public:
    explicit RandomTables(uint64_t seed) : engine_(seed) {}

    uint64_t below(uint64_t n) { return engine_() % n; }
    bool chance(unsigned percent) { return below(100) < percent; }
    template <class T>
    T one_of(std::initializer_list<T> list) {
        return *(list.begin() + below(list.size()));
    }

    // Five of IPv4, two of IPv6, one firewall mark.
    ipvs::ServiceKey key(uint64_t i) {
        if (i == 7) return {base::Ip::Family::v4, 0, {}, 7};
        const std::string host = i < 5 ? "10.0.0." + std::to_string(i / 2 + 1) + ":80" : "[2001:db8::1]:80";
        return ipvs::ServiceKey::of(i % 2 == 0 ? 6 : 17, *base::Endpoint::parse(host));
    }
    static constexpr uint64_t keys = 8;

    base::Endpoint address(const ipvs::ServiceKey& key, uint64_t i) {
        const std::string n = std::to_string(i + 1);
        return *base::Endpoint::parse(key.family == base::Ip::Family::v4 ? "10.1.0." + n + ":80"
                                                                         : "[2001:db8:1::" + n + "]:80");
    }
    static constexpr uint64_t addresses = 6;

    ipvs::ServiceRecord service(const ipvs::ServiceKey& key, bool foreign_words) {
        ipvs::ServiceRecord r;
        r.key = key;
        r.scheduler = one_of<const char*>({"wrr", "rr", "sh", "wlc"});
        if (r.scheduler == "sh") r.flags |= one_of<uint32_t>({0, 0x08, 0x18});
        r.netmask = key.family == base::Ip::Family::v4 ? 32 : 128;
        if (chance(30)) {
            r.flags |= IP_VS_SVC_F_PERSISTENT;
            r.timeout_s = static_cast<uint32_t>(1 + below(3) * 60);
            r.netmask = one_of<uint8_t>({24, 32});
            if (foreign_words && chance(30)) r.pe_name = "sip";
        }
        if (foreign_words && chance(20)) r.flags |= IP_VS_SVC_F_ONEPACKET;
        return r;
    }

    ipvs::DestRecord dest(const base::Endpoint& address, bool foreign_words) {
        ipvs::DestRecord d;
        d.address = address;
        d.forwarding = one_of<uint32_t>({IP_VS_CONN_F_MASQ, IP_VS_CONN_F_TUNNEL, IP_VS_CONN_F_DROUTE});
        d.weight = static_cast<uint32_t>(below(3) * 50);
        if (chance(20)) d.upper_threshold = 10;
        if (chance(10)) d.lower_threshold = d.upper_threshold;
        if (foreign_words && chance(10)) d.forwarding = IP_VS_CONN_F_LOCALNODE;
        if (foreign_words && chance(10)) d.forwarding = IP_VS_CONN_F_BYPASS;
        if (foreign_words && d.forwarding == IP_VS_CONN_F_TUNNEL && chance(50)) {
            d.tunnel_type = IP_VS_CONN_F_TUNNEL_TYPE_GUE;
            d.tunnel_port = 6080;
        }
        return d;
    }

    Table table(unsigned percent, bool foreign_words) {
        Table table;
        for (uint64_t i = 0; i < keys; ++i) {
            if (!chance(percent)) continue;
            TableService& one = table[key(i)];
            one.record = service(key(i), foreign_words);
            for (uint64_t j = 0; j < addresses; ++j) {
                const base::Endpoint a = address(key(i), j);
                if (chance(percent)) one.dests[a] = dest(a, foreign_words);
            }
        }
        return table;
    }

    std::set<Entry> leaving() {
        std::set<Entry> out;
        for (uint64_t i = 0; i < keys; ++i) {
            if (chance(20)) out.insert({key(i), std::nullopt});
            for (uint64_t j = 0; j < addresses; ++j) {
                if (chance(15)) out.insert({key(i), address(key(i), j)});
            }
        }
        return out;
    }

    // `to` with some of its entries as in `like` already, so that not everything has to be changed.
    void resemble(Table& to, const Table& like) {
        for (auto& [key, service] : to) {
            const auto other = like.find(key);
            if (other == like.end()) continue;
            if (chance(50)) service.record = other->second.record;
            for (auto& [address, dest] : service.dests) {
                const auto at = other->second.dests.find(address);
                if (at != other->second.dests.end() && chance(50)) dest = at->second;
            }
        }
    }

    // Puts all of it into the driver, with counters on some destinations.
    void fill(ipvs::MemoryDriver& driver, const Table& table) {
        std::vector<ipvs::Op> ops;
        for (const auto& [key, service] : table) {
            ops.push_back(ipvs::Op::add(service.record));
            for (const auto& one : service.dests) ops.push_back(ipvs::Op::add(key, one.second));
        }
        for (const base::Status& answer : driver.apply(ops)) {
            if (!answer) throw std::logic_error(answer.error().sentence);
        }
        for (const auto& [key, service] : table) {
            for (const auto& one : service.dests) {
                if (chance(30)) driver.set_counters(key, one.first, {3, 4}, {1, 2, 3, 4, 5});
            }
        }
    }

  private:
    std::mt19937_64 engine_;
};

}  // namespace gorb::reconcile
