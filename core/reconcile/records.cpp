#include "reconcile/records.h"

#include <linux/ip_vs.h>

#include "model/scheduler.h"

namespace gorb::reconcile {

ipvs::ServiceKey kernel_key(const model::ServiceKey& key) {
    return ipvs::ServiceKey::of(static_cast<uint8_t>(key.protocol), key.vip);
}

ipvs::ServiceRecord service_record(const model::Service& service) {
    ipvs::ServiceRecord record;
    record.key = kernel_key(service.key);
    record.scheduler = service.scheduler;
    record.flags = model::effective_flags(service);
    if (service.persistence_s > 0) {
        record.flags |= IP_VS_SVC_F_PERSISTENT;
        record.timeout_s = service.persistence_s;
    }
    record.netmask = service.netmask;
    return record;
}

ipvs::DestRecord dest_record(const model::Backend& backend, uint32_t weight) {
    ipvs::DestRecord record;
    write(backend, weight, record);
    return record;
}

void write(const model::Backend& backend, uint32_t weight, ipvs::DestRecord& record) {
    record.address = backend.address;
    record.forwarding = static_cast<uint32_t>(backend.forwarding);
    record.weight = weight;
    record.upper_threshold = backend.upper_threshold;
    record.lower_threshold = backend.lower_threshold;
}

ipvs::ServiceRecord keeping(ipvs::ServiceRecord wanted, const ipvs::ServiceRecord& found) {
    constexpr uint32_t ours = IP_VS_SVC_F_PERSISTENT | model::flag_fallback | model::flag_port;
    wanted.flags |= found.flags & ~ours;
    // ip_vs_ctl.c: a persistence engine belongs to persistence.
    if (wanted.timeout_s > 0) wanted.pe_name = found.pe_name;
    return wanted;
}

ipvs::DestRecord keeping(ipvs::DestRecord wanted, const ipvs::DestRecord& found) {
    if (wanted.forwarding == found.forwarding) {
        wanted.tunnel_type = found.tunnel_type;
        wanted.tunnel_port = found.tunnel_port;
        wanted.tunnel_flags = found.tunnel_flags;
    }
    return wanted;
}

}  // namespace gorb::reconcile
