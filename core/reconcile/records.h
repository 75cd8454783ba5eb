// What the kernel should have for a service or backend: pure.
#pragma once
#include <cstdint>

#include "ipvs/driver.h"
#include "model/service.h"

namespace gorb::reconcile {

ipvs::ServiceKey kernel_key(const model::ServiceKey& key);
ipvs::ServiceRecord service_record(const model::Service& service);
ipvs::DestRecord dest_record(const model::Backend& backend, uint32_t weight);
// The same into a record that is there; what gorb has no words for stays as it is.
void write(const model::Backend& backend, uint32_t weight, ipvs::DestRecord& record);

// `wanted`, with what the desired state has no word for as it is in `found` (a persistence engine, one-packet
// scheduling, a tunnel's type and port): taking an entry over or editing it loses nothing.
ipvs::ServiceRecord keeping(ipvs::ServiceRecord wanted, const ipvs::ServiceRecord& found);
ipvs::DestRecord keeping(ipvs::DestRecord wanted, const ipvs::DestRecord& found);

}  // namespace gorb::reconcile
