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

}  // namespace gorb::reconcile
