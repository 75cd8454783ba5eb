// Any bytes as the output of ipvsadm -Sn: nothing crashes, a refusal names lines in bounded space, and what
// is accepted keeps every rule.
#include <cstdint>
#include <set>
#include <string_view>

#include "base/check.h"
#include "model/config.h"
#include "model/rules.h"

namespace {

using namespace gorb;

void check_refusal(const base::Error& error) {
    GORB_CHECK(error.code == base::Errc::invalid);
    GORB_CHECK(!error.faults.empty() && error.faults.size() <= 64);
    for (const base::Fault& fault : error.faults) {
        GORB_CHECK(fault.pointer.starts_with("line "));
        GORB_CHECK(!fault.what.empty() && fault.what.size() < 1000);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto config = model::read_ipvsadm({reinterpret_cast<const char*>(data), size});
    if (!config) {
        check_refusal(config.error());
        return 0;
    }
    std::string_view last;
    for (const model::ConfigService& service : config->services) {
        GORB_CHECK(last < service.spec.name);
        last = service.spec.name;
        GORB_CHECK(!model::name_violation(service.spec.name));
        GORB_CHECK(model::service_violations(service.spec).empty());
        std::string_view last_backend;
        for (const model::Backend& backend : service.backends) {
            GORB_CHECK(last_backend < backend.name);
            last_backend = backend.name;
            GORB_CHECK(!model::name_violation(backend.name));
            GORB_CHECK(model::backend_violations(backend).empty());
            GORB_CHECK(model::backend_in_service_violations(service.spec, backend).empty());
        }
    }
    return 0;
}
