// Any bytes as a whole desired state: nothing crashes, a refusal says where and why in bounded space, and
// what is accepted keeps every rule and reads back from its own output.
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/check.h"
#include "model/config.h"
#include "model/rules.h"

namespace {

using namespace gorb;

std::string written(const model::Config& config) {
    model::Snapshot snapshot;
    for (const model::ConfigService& service : config.services) {
        model::ServiceEntry entry;
        entry.spec = service.spec;
        for (const model::Backend& backend : service.backends) {
            model::BackendEntry made;
            made.spec = backend;
            entry.backends =
                entry.backends.insert(std::make_shared<const model::BackendEntry>(std::move(made)));
        }
        snapshot.services =
            snapshot.services.insert(std::make_shared<const model::ServiceEntry>(std::move(entry)));
    }
    std::string out;
    base::StringSink sink(out);
    base::JsonWriter writer(sink);
    writer.StartObject();
    model::write_config_services(writer, snapshot);
    writer.EndObject();
    GORB_CHECK(writer.IsComplete());
    return out;
}

void check_refusal(const base::Error& error) {
    GORB_CHECK(error.code == base::Errc::invalid);
    GORB_CHECK(!error.sentence.empty());
    GORB_CHECK(error.faults.size() <= 64);
    for (const base::Fault& fault : error.faults) {
        GORB_CHECK(!fault.pointer.empty() && fault.pointer.front() == '/');
        GORB_CHECK(!fault.what.empty());
    }
}

void check_rules(const model::Config& config) {
    std::set<model::ServiceKey> keys;
    std::string_view last;
    for (const model::ConfigService& service : config.services) {
        GORB_CHECK(last < service.spec.name);
        last = service.spec.name;
        GORB_CHECK(!model::name_violation(service.spec.name));
        GORB_CHECK(model::service_violations(service.spec).empty());
        GORB_CHECK(keys.insert(service.spec.key).second);
        std::set<base::Endpoint> addresses;
        std::string_view last_backend;
        for (const model::Backend& backend : service.backends) {
            GORB_CHECK(last_backend < backend.name);
            last_backend = backend.name;
            GORB_CHECK(!model::name_violation(backend.name));
            GORB_CHECK(model::backend_violations(backend).empty());
            GORB_CHECK(model::backend_in_service_violations(service.spec, backend).empty());
            GORB_CHECK(addresses.insert(backend.address).second);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto config = model::read_config({reinterpret_cast<const char*>(data), size}, {});
    if (!config) {
        check_refusal(config.error());
        return 0;
    }
    check_rules(*config);
    const auto again = model::read_config(written(*config), {});
    GORB_CHECK(again.has_value());
    GORB_CHECK(*again == *config);
    return 0;
}
