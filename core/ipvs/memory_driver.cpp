#include "ipvs/memory_driver.h"

#include <linux/ip_vs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "ipvs/refusal.h"

namespace gorb::ipvs {
namespace {

using Kind = Op::Kind;
constexpr std::string_view memory_table = "the memory driver";

// IPv4: RTN_UNICAST and RTN_LOCAL pass. IPv6: unicast that is not link-local passes. What depends on the
// host's own addresses (subnet broadcasts, its own link-local address) is not known here.
bool can_be_dest(const base::Ip& ip) {
    if (ip.unspecified() || ip.multicast_or_broadcast()) return false;
    if (ip.v4()) return ip.bytes[0] != 0;
    return !(ip.bytes[0] == 0xfe && (ip.bytes[1] & 0xc0) == 0x80);
}

// ip_vs_genl_set_cmd() and ip_vs_add_dest() of the kernel, in their order.
int check_dest(const Op& op) {
    const DestRecord& d = op.dest;
    if (d.address.ip.family != op.service.key.family && d.forwarding != IP_VS_CONN_F_TUNNEL) return EINVAL;
    if (d.weight > static_cast<uint32_t>(std::numeric_limits<int32_t>::max())) return ERANGE;
    if (d.lower_threshold > d.upper_threshold) return ERANGE;
    if (d.tunnel_type == IP_VS_CONN_F_TUNNEL_TYPE_GUE && d.tunnel_port == 0) return EINVAL;
    return 0;
}

base::Error read_error(std::string_view what, int os_error) {
    base::Error error;
    error.code = os_error == EPERM ? base::Errc::forbidden : base::Errc::unavailable;
    error.os_error = os_error;
    error.sentence = std::string(what) + ": " + std::strerror(os_error);
    return error;
}

}  // namespace

// What is sent: counters are the table's own.
MemoryDriver::Dest MemoryDriver::settings_of(const DestRecord& d) {
    return {d.address,         static_cast<uint8_t>(d.forwarding),
            d.tunnel_type,     d.tunnel_port,
            d.tunnel_flags,    d.weight,
            d.upper_threshold, d.lower_threshold};
}

DestRecord MemoryDriver::Service::read(const Dest& dest) const {
    DestRecord out;
    out.address = dest.address;
    out.forwarding = dest.forwarding;
    out.weight = dest.weight;
    out.upper_threshold = dest.upper_threshold;
    out.lower_threshold = dest.lower_threshold;
    out.tunnel_type = dest.tunnel_type;
    out.tunnel_port = dest.tunnel_port;
    out.tunnel_flags = dest.tunnel_flags;
    if (const auto counted = counters.find(dest.address); counted != counters.end()) {
        out.active = counted->second.connections.active;
        out.inactive = counted->second.connections.inactive;
        out.persistent = counted->second.connections.persistent;
        out.stats = counted->second.stats;
    }
    return out;
}

size_t ServiceKeyHash::operator()(const ServiceKey& key) const {
    size_t h = std::hash<base::Endpoint>{}(key.vip);
    for (const uint64_t part :
         {uint64_t{key.fwmark}, uint64_t{key.protocol}, static_cast<uint64_t>(key.family)}) {
        h ^= part + 0x9e3779b97f4a7c15ULL + (h << 6) + (h >> 2);
    }
    return h;
}

const std::vector<std::string>& MemoryDriver::default_schedulers() {
    static const std::vector<std::string> names = {"rr", "wrr", "lc",  "wlc", "lblc", "lblcr", "dh",
                                                   "sh", "mh",  "sed", "nq",  "fo",   "ovf"};
    return names;
}

MemoryDriver::MemoryDriver(std::vector<std::string> schedulers) : schedulers_(std::move(schedulers)) {}

base::Status MemoryDriver::readable() const {
    if (fault_reads_ != 0) return base::fail(read_error("read the table of the memory driver", fault_reads_));
    return {};
}

base::Result<Info> MemoryDriver::info() {
    std::lock_guard lock(mutex_);
    if (auto ok = readable(); !ok) return base::fail(ok.error());
    return Info{"memory", false, "1.2.1", 0};
}

base::Result<std::vector<ServiceRecord>> MemoryDriver::services() {
    std::lock_guard lock(mutex_);
    if (auto ok = readable(); !ok) return base::fail(ok.error());
    std::vector<ServiceRecord> out;
    out.reserve(services_.size());
    for (const auto& [key, service] : services_) out.push_back(service.record);
    return out;
}

base::Result<std::optional<ServiceRecord>> MemoryDriver::service(const ServiceKey& key) {
    std::lock_guard lock(mutex_);
    if (auto ok = readable(); !ok) return base::fail(ok.error());
    const auto found = services_.find(key);
    if (found == services_.end()) return std::optional<ServiceRecord>{};
    return std::optional(found->second.record);
}

base::Result<std::vector<DestRecord>> MemoryDriver::dests(const ServiceKey& key) {
    std::lock_guard lock(mutex_);
    if (auto ok = readable(); !ok) return base::fail(ok.error());
    const auto found = services_.find(key);
    if (found == services_.end()) {
        return base::fail(base::Errc::not_found, "there is no virtual service " + key.text(), ESRCH);
    }
    std::vector<DestRecord> out;
    out.reserve(found->second.dests.size());
    found->second.dests.for_each([&](const Dest& dest) { out.push_back(found->second.read(dest)); });
    return out;
}

std::vector<base::Status> MemoryDriver::apply(std::span<const Op> ops) {
    std::vector<base::Status> answers;
    answers.reserve(ops.size());
    for (const Op& op : ops) {
        std::unique_lock lock(mutex_);
        const uint64_t number = ops_++;
        const Hook hook = hook_;
        lock.unlock();
        int os_error = hook ? hook(op, number) : 0;
        lock.lock();
        if (os_error == 0) os_error = fault_all_;
        if (const auto fault = op_faults_.find(number); os_error == 0 && fault != op_faults_.end()) {
            os_error = fault->second;
        }
        if (os_error == 0) os_error = apply_locked(op);
        if (os_error == 0) {
            answers.emplace_back();
        } else {
            answers.emplace_back(base::fail(refusal(op, os_error, memory_table)));
        }
    }
    return answers;
}

int MemoryDriver::apply_locked(const Op& op) {
    if (const int wrong = unspeakable(op)) return wrong;
    const auto found = services_.find(op.service.key);
    switch (op.kind) {
        case Kind::add_service:
            if (found != services_.end()) return EEXIST;
            return change_service(op);
        case Kind::edit_service:
            if (found == services_.end()) return ESRCH;
            return change_service(op);
        case Kind::remove_service:
            if (found == services_.end()) return ESRCH;
            services_.erase(found);
            return 0;
        case Kind::add_dest:
        case Kind::edit_dest:
        case Kind::remove_dest:
            if (found == services_.end()) return ESRCH;
            return change_dest(op, found->second);
    }
    return EINVAL;
}

int MemoryDriver::change_service(const Op& op) {
    const ServiceRecord& wanted = op.service;
    const auto knows = [this](const std::string& name) {
        return name == "none" || std::find(schedulers_.begin(), schedulers_.end(), name) != schedulers_.end();
    };
    if (!knows(wanted.scheduler)) return ENOENT;
    if (!wanted.pe_name.empty() && wanted.pe_name != "sip") return ENOENT;
    if (wanted.key.family == base::Ip::Family::v6 && (wanted.netmask < 1 || wanted.netmask > 128))
        return EINVAL;
    ServiceRecord& record = services_[wanted.key].record;
    const Stats stats = record.stats;
    record = wanted;
    record.flags &= ~uint32_t{IP_VS_SVC_F_HASHED};
    record.stats = stats;
    return 0;
}

int MemoryDriver::change_dest(const Op& op, Service& service) {
    const bool there = service.dests.find(op.dest.address) != nullptr;
    if (op.kind == Kind::remove_dest) {
        if (!there) return ENOENT;
        service.dests.erase(op.dest.address);
        service.counters.erase(op.dest.address);
        return 0;
    }
    if (const int wrong = check_dest(op)) return wrong;
    if (op.kind == Kind::add_dest) {
        if (there) return EEXIST;
        if (!can_be_dest(op.dest.address.ip)) return EINVAL;
    } else if (!there) {
        return ENOENT;
    }
    service.dests.insert(settings_of(op.dest));
    return 0;
}

base::Status MemoryDriver::flush() {
    std::lock_guard lock(mutex_);
    if (fault_all_ != 0) return base::fail(read_error("flush the table of the memory driver", fault_all_));
    services_.clear();
    return {};
}

base::Result<std::vector<std::string>> MemoryDriver::probe_schedulers(
    std::span<const std::string_view> names) {
    std::lock_guard lock(mutex_);
    if (fault_all_ != 0) return base::fail(read_error("try the schedulers of the memory driver", fault_all_));
    std::vector<std::string> accepted;
    for (const std::string_view name : names) {
        if (std::find(schedulers_.begin(), schedulers_.end(), name) != schedulers_.end())
            accepted.emplace_back(name);
    }
    return accepted;
}

void MemoryDriver::set_hook(Hook hook) {
    std::lock_guard lock(mutex_);
    hook_ = std::move(hook);
}

void MemoryDriver::fail_op(uint64_t number, int os_error) {
    std::lock_guard lock(mutex_);
    op_faults_[number] = os_error;
}

void MemoryDriver::fail_all(int os_error) {
    std::lock_guard lock(mutex_);
    fault_all_ = os_error;
}

void MemoryDriver::fail_reads(int os_error) {
    std::lock_guard lock(mutex_);
    fault_reads_ = os_error;
}

uint64_t MemoryDriver::ops() const {
    std::lock_guard lock(mutex_);
    return ops_;
}

bool MemoryDriver::set_counters(const ServiceKey& key, const base::Endpoint& address,
                                const Connections& connections, const Stats& stats) {
    std::lock_guard lock(mutex_);
    const auto service = services_.find(key);
    if (service == services_.end()) return false;
    if (!service->second.dests.find(address)) return false;
    service->second.counters[address] = {connections, stats};
    return true;
}

}  // namespace gorb::ipvs
