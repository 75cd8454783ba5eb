// What the kernel should have for a service or backend: pure.
#pragma once
#include <cstdint>

#include "ipvs/driver.h"
#include "model/service.h"

namespace gorb::reconcile {

ipvs::ServiceKey kernel_key(const model::ServiceKey& key);
ipvs::ServiceRecord service_record(const model::Service& service);
ipvs::DestRecord dest_record(const model::Backend& backend, uint32_t weight);
// The same into a record that is there; tunnels are ipip, which is what a record says that says nothing of
// it.
void write(const model::Backend& backend, uint32_t weight, ipvs::DestRecord& record);

}  // namespace gorb::reconcile
